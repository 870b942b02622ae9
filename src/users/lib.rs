//! Accounts, sessions, devices, keys, profiles, account data, presence and to-device messages.

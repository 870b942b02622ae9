//! Configuration, clock, randomness, supervised workers, lanes and logging: what every room of the house stands on.

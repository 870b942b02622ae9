use ruma::RoomVersionId;
use ruma::room_version_rules::{
    EventIdFormatVersion, EventsReferenceFormatVersion, RoomIdFormatVersion, StateResolutionVersion,
};

use super::*;

#[test]
fn every_stable_version_is_known_by_its_name() {
    let names: Vec<_> = Rules::all().iter().map(|rules| rules.version).collect();
    assert_eq!(
        names,
        [
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"
        ]
    );
    for rules in Rules::all() {
        assert_eq!(Rules::of(&rules.room_version()), Some(rules));
        assert_eq!(rules.room_version().as_str(), rules.version);
    }
    assert_eq!(Rules::unnamed().version, "1");
    assert_eq!(Rules::newest().version, "12");
    for unknown in ["", "0", "13", "01", "org.matrix.msc1234"] {
        assert_eq!(Rules::named(unknown), None);
    }
    assert_eq!(Rules::of(&RoomVersionId::try_from("x").unwrap()), None);
}

#[test]
fn the_facts_are_those_of_ruma() {
    for ours in Rules::all() {
        let theirs = crate::testing::ruma_rules(ours);
        let version = ours.version;
        let event_ids = match theirs.event_id_format {
            EventIdFormatVersion::V1 => EventIds::Chosen,
            EventIdFormatVersion::V2 => EventIds::Hash,
            _ => EventIds::UrlSafeHash,
        };
        assert_eq!(ours.event_ids, event_ids, "{version}");
        let with_hashes = theirs.events_reference_format == EventsReferenceFormatVersion::V1;
        assert_eq!(
            ours.references == References::WithHashes,
            with_hashes,
            "{version}"
        );
        assert_eq!(
            ours.room_ids == RoomIds::Chosen,
            theirs.room_id_format == RoomIdFormatVersion::V1,
            "{version}"
        );
        assert_eq!(
            ours.keys_must_be_valid, theirs.enforce_key_validity,
            "{version}"
        );
        let resolution = match theirs.state_res {
            StateResolutionVersion::V2(rules) if rules.consider_conflicted_state_subgraph => {
                Resolution::V2_1
            }
            StateResolutionVersion::V2(_) => Resolution::V2,
            _ => Resolution::V1,
        };
        assert_eq!(ours.resolution, resolution, "{version}");
        let auth = &theirs.authorization;
        assert_eq!(
            ours.json == Json::Strict,
            auth.strict_canonical_json,
            "{version}"
        );
        let expected = AuthRules {
            aliases_by_server: auth.special_case_room_aliases,
            redactions_need_level: auth.special_case_room_redaction,
            notification_levels: auth.limit_notifications_power_levels,
            knocking: auth.knocking,
            restricted_joins: auth.restricted_join_rule,
            knock_restricted_joins: auth.knock_restricted_join_rule,
            integer_levels: auth.integer_power_levels,
            creator_is_sender: auth.use_room_create_sender,
            supreme_creators: auth.explicitly_privilege_room_creators
                && auth.additional_room_creators,
        };
        assert_eq!(ours.auth, expected, "{version}");
        let redaction = &theirs.redaction;
        let expected = RedactionRules {
            keeps_aliases: redaction.keep_room_aliases_aliases,
            keeps_allow: redaction.keep_room_join_rules_allow,
            keeps_authorising_user: redaction.keep_room_member_join_authorised_via_users_server,
            keeps_origin: redaction.keep_origin_membership_prev_state,
            keeps_create: redaction.keep_room_create_content,
            keeps_redacts: redaction.keep_room_redaction_redacts,
            keeps_invite_level: redaction.keep_room_power_levels_invite,
            keeps_signed_invite: redaction.keep_room_member_third_party_invite_signed,
            redacts_in_content: redaction.content_field_redacts,
        };
        assert_eq!(ours.redaction, expected, "{version}");
        assert_eq!(
            ours.event_ids == EventIds::Chosen,
            theirs.signatures.check_event_id_server,
            "{version}"
        );
        assert_eq!(
            ours.auth.restricted_joins, theirs.signatures.check_join_authorised_via_users_server,
            "{version}"
        );
    }
}

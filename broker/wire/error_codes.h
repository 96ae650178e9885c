// Kafka's error codes by number and name, and which of them a client may retry.
//
// Retriable means what Kafka's own client means by it: the same request may succeed later. It says nothing about
// whether the failed attempt took effect (NOT_ENOUGH_REPLICAS_AFTER_APPEND and REQUEST_TIMED_OUT may have).
#pragma once

#include <cstdint>
#include <string_view>

// X(enumerator, Kafka's name, code, retriable)
#define ORDEAL_KAFKA_ERRORS(X)                                                                            \
  X(unknown_server_error, "UNKNOWN_SERVER_ERROR", -1, false)                                              \
  X(none, "NONE", 0, false)                                                                               \
  X(offset_out_of_range, "OFFSET_OUT_OF_RANGE", 1, false)                                                 \
  X(corrupt_message, "CORRUPT_MESSAGE", 2, true)                                                          \
  X(unknown_topic_or_partition, "UNKNOWN_TOPIC_OR_PARTITION", 3, true)                                    \
  X(invalid_fetch_size, "INVALID_FETCH_SIZE", 4, false)                                                   \
  X(leader_not_available, "LEADER_NOT_AVAILABLE", 5, true)                                                \
  X(not_leader_or_follower, "NOT_LEADER_OR_FOLLOWER", 6, true)                                            \
  X(request_timed_out, "REQUEST_TIMED_OUT", 7, true)                                                      \
  X(broker_not_available, "BROKER_NOT_AVAILABLE", 8, false)                                               \
  X(replica_not_available, "REPLICA_NOT_AVAILABLE", 9, true)                                              \
  X(message_too_large, "MESSAGE_TOO_LARGE", 10, false)                                                    \
  X(stale_controller_epoch, "STALE_CONTROLLER_EPOCH", 11, false)                                          \
  X(offset_metadata_too_large, "OFFSET_METADATA_TOO_LARGE", 12, false)                                    \
  X(network_exception, "NETWORK_EXCEPTION", 13, true)                                                     \
  X(coordinator_load_in_progress, "COORDINATOR_LOAD_IN_PROGRESS", 14, true)                               \
  X(coordinator_not_available, "COORDINATOR_NOT_AVAILABLE", 15, true)                                     \
  X(not_coordinator, "NOT_COORDINATOR", 16, true)                                                         \
  X(invalid_topic_exception, "INVALID_TOPIC_EXCEPTION", 17, false)                                        \
  X(record_list_too_large, "RECORD_LIST_TOO_LARGE", 18, false)                                            \
  X(not_enough_replicas, "NOT_ENOUGH_REPLICAS", 19, true)                                                 \
  X(not_enough_replicas_after_append, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", 20, true)                       \
  X(invalid_required_acks, "INVALID_REQUIRED_ACKS", 21, false)                                            \
  X(illegal_generation, "ILLEGAL_GENERATION", 22, false)                                                  \
  X(inconsistent_group_protocol, "INCONSISTENT_GROUP_PROTOCOL", 23, false)                                \
  X(invalid_group_id, "INVALID_GROUP_ID", 24, false)                                                      \
  X(unknown_member_id, "UNKNOWN_MEMBER_ID", 25, false)                                                    \
  X(invalid_session_timeout, "INVALID_SESSION_TIMEOUT", 26, false)                                        \
  X(rebalance_in_progress, "REBALANCE_IN_PROGRESS", 27, false)                                            \
  X(invalid_commit_offset_size, "INVALID_COMMIT_OFFSET_SIZE", 28, false)                                  \
  X(topic_authorization_failed, "TOPIC_AUTHORIZATION_FAILED", 29, false)                                  \
  X(group_authorization_failed, "GROUP_AUTHORIZATION_FAILED", 30, false)                                  \
  X(cluster_authorization_failed, "CLUSTER_AUTHORIZATION_FAILED", 31, false)                              \
  X(invalid_timestamp, "INVALID_TIMESTAMP", 32, false)                                                    \
  X(unsupported_sasl_mechanism, "UNSUPPORTED_SASL_MECHANISM", 33, false)                                  \
  X(illegal_sasl_state, "ILLEGAL_SASL_STATE", 34, false)                                                  \
  X(unsupported_version, "UNSUPPORTED_VERSION", 35, false)                                                \
  X(topic_already_exists, "TOPIC_ALREADY_EXISTS", 36, false)                                              \
  X(invalid_partitions, "INVALID_PARTITIONS", 37, false)                                                  \
  X(invalid_replication_factor, "INVALID_REPLICATION_FACTOR", 38, false)                                  \
  X(invalid_replica_assignment, "INVALID_REPLICA_ASSIGNMENT", 39, false)                                  \
  X(invalid_config, "INVALID_CONFIG", 40, false)                                                          \
  X(not_controller, "NOT_CONTROLLER", 41, true)                                                           \
  X(invalid_request, "INVALID_REQUEST", 42, false)                                                        \
  X(unsupported_for_message_format, "UNSUPPORTED_FOR_MESSAGE_FORMAT", 43, false)                          \
  X(policy_violation, "POLICY_VIOLATION", 44, false)                                                      \
  X(out_of_order_sequence_number, "OUT_OF_ORDER_SEQUENCE_NUMBER", 45, false)                              \
  X(duplicate_sequence_number, "DUPLICATE_SEQUENCE_NUMBER", 46, false)                                    \
  X(invalid_producer_epoch, "INVALID_PRODUCER_EPOCH", 47, false)                                          \
  X(invalid_txn_state, "INVALID_TXN_STATE", 48, false)                                                    \
  X(invalid_producer_id_mapping, "INVALID_PRODUCER_ID_MAPPING", 49, false)                                \
  X(invalid_transaction_timeout, "INVALID_TRANSACTION_TIMEOUT", 50, false)                                \
  X(concurrent_transactions, "CONCURRENT_TRANSACTIONS", 51, true)                                         \
  X(transaction_coordinator_fenced, "TRANSACTION_COORDINATOR_FENCED", 52, false)                          \
  X(transactional_id_authorization_failed, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", 53, false)            \
  X(security_disabled, "SECURITY_DISABLED", 54, false)                                                    \
  X(operation_not_attempted, "OPERATION_NOT_ATTEMPTED", 55, false)                                        \
  X(kafka_storage_error, "KAFKA_STORAGE_ERROR", 56, true)                                                 \
  X(log_dir_not_found, "LOG_DIR_NOT_FOUND", 57, false)                                                    \
  X(sasl_authentication_failed, "SASL_AUTHENTICATION_FAILED", 58, false)                                  \
  X(unknown_producer_id, "UNKNOWN_PRODUCER_ID", 59, false)                                                \
  X(reassignment_in_progress, "REASSIGNMENT_IN_PROGRESS", 60, false)                                      \
  X(delegation_token_auth_disabled, "DELEGATION_TOKEN_AUTH_DISABLED", 61, false)                          \
  X(delegation_token_not_found, "DELEGATION_TOKEN_NOT_FOUND", 62, false)                                  \
  X(delegation_token_owner_mismatch, "DELEGATION_TOKEN_OWNER_MISMATCH", 63, false)                        \
  X(delegation_token_request_not_allowed, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", 64, false)              \
  X(delegation_token_authorization_failed, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", 65, false)            \
  X(delegation_token_expired, "DELEGATION_TOKEN_EXPIRED", 66, false)                                      \
  X(invalid_principal_type, "INVALID_PRINCIPAL_TYPE", 67, false)                                          \
  X(non_empty_group, "NON_EMPTY_GROUP", 68, false)                                                        \
  X(group_id_not_found, "GROUP_ID_NOT_FOUND", 69, false)                                                  \
  X(fetch_session_id_not_found, "FETCH_SESSION_ID_NOT_FOUND", 70, true)                                   \
  X(invalid_fetch_session_epoch, "INVALID_FETCH_SESSION_EPOCH", 71, true)                                 \
  X(listener_not_found, "LISTENER_NOT_FOUND", 72, true)                                                   \
  X(topic_deletion_disabled, "TOPIC_DELETION_DISABLED", 73, false)                                        \
  X(fenced_leader_epoch, "FENCED_LEADER_EPOCH", 74, true)                                                 \
  X(unknown_leader_epoch, "UNKNOWN_LEADER_EPOCH", 75, true)                                               \
  X(unsupported_compression_type, "UNSUPPORTED_COMPRESSION_TYPE", 76, false)                              \
  X(stale_broker_epoch, "STALE_BROKER_EPOCH", 77, false)                                                  \
  X(offset_not_available, "OFFSET_NOT_AVAILABLE", 78, true)                                               \
  X(member_id_required, "MEMBER_ID_REQUIRED", 79, false)                                                  \
  X(preferred_leader_not_available, "PREFERRED_LEADER_NOT_AVAILABLE", 80, true)                           \
  X(group_max_size_reached, "GROUP_MAX_SIZE_REACHED", 81, false)                                          \
  X(fenced_instance_id, "FENCED_INSTANCE_ID", 82, false)                                                  \
  X(eligible_leaders_not_available, "ELIGIBLE_LEADERS_NOT_AVAILABLE", 83, true)                           \
  X(election_not_needed, "ELECTION_NOT_NEEDED", 84, true)                                                 \
  X(no_reassignment_in_progress, "NO_REASSIGNMENT_IN_PROGRESS", 85, false)                                \
  X(group_subscribed_to_topic, "GROUP_SUBSCRIBED_TO_TOPIC", 86, false)                                    \
  X(invalid_record, "INVALID_RECORD", 87, false)                                                          \
  X(unstable_offset_commit, "UNSTABLE_OFFSET_COMMIT", 88, true)                                           \
  X(throttling_quota_exceeded, "THROTTLING_QUOTA_EXCEEDED", 89, true)                                     \
  X(producer_fenced, "PRODUCER_FENCED", 90, false)                                                        \
  X(resource_not_found, "RESOURCE_NOT_FOUND", 91, false)                                                  \
  X(duplicate_resource, "DUPLICATE_RESOURCE", 92, false)                                                  \
  X(unacceptable_credential, "UNACCEPTABLE_CREDENTIAL", 93, false)                                        \
  X(inconsistent_voter_set, "INCONSISTENT_VOTER_SET", 94, false)                                          \
  X(invalid_update_version, "INVALID_UPDATE_VERSION", 95, false)                                          \
  X(feature_update_failed, "FEATURE_UPDATE_FAILED", 96, false)                                            \
  X(principal_deserialization_failure, "PRINCIPAL_DESERIALIZATION_FAILURE", 97, false)                    \
  X(snapshot_not_found, "SNAPSHOT_NOT_FOUND", 98, false)                                                  \
  X(position_out_of_range, "POSITION_OUT_OF_RANGE", 99, false)                                            \
  X(unknown_topic_id, "UNKNOWN_TOPIC_ID", 100, true)                                                      \
  X(duplicate_broker_registration, "DUPLICATE_BROKER_REGISTRATION", 101, false)                           \
  X(broker_id_not_registered, "BROKER_ID_NOT_REGISTERED", 102, false)                                     \
  X(inconsistent_topic_id, "INCONSISTENT_TOPIC_ID", 103, true)                                            \
  X(inconsistent_cluster_id, "INCONSISTENT_CLUSTER_ID", 104, false)                                       \
  X(transactional_id_not_found, "TRANSACTIONAL_ID_NOT_FOUND", 105, false)                                 \
  X(fetch_session_topic_id_error, "FETCH_SESSION_TOPIC_ID_ERROR", 106, true)                              \
  X(ineligible_replica, "INELIGIBLE_REPLICA", 107, false)                                                 \
  X(new_leader_elected, "NEW_LEADER_ELECTED", 108, false)                                                 \
  X(offset_moved_to_tiered_storage, "OFFSET_MOVED_TO_TIERED_STORAGE", 109, false)                         \
  X(fenced_member_epoch, "FENCED_MEMBER_EPOCH", 110, false)                                               \
  X(unreleased_instance_id, "UNRELEASED_INSTANCE_ID", 111, false)                                         \
  X(unsupported_assignor, "UNSUPPORTED_ASSIGNOR", 112, false)                                             \
  X(stale_member_epoch, "STALE_MEMBER_EPOCH", 113, false)                                                 \
  X(mismatched_endpoint_type, "MISMATCHED_ENDPOINT_TYPE", 114, false)                                     \
  X(unsupported_endpoint_type, "UNSUPPORTED_ENDPOINT_TYPE", 115, false)                                   \
  X(unknown_controller_id, "UNKNOWN_CONTROLLER_ID", 116, false)                                           \
  X(unknown_subscription_id, "UNKNOWN_SUBSCRIPTION_ID", 117, false)                                       \
  X(telemetry_too_large, "TELEMETRY_TOO_LARGE", 118, false)                                               \
  X(invalid_registration, "INVALID_REGISTRATION", 119, false)                                             \
  X(transaction_abortable, "TRANSACTION_ABORTABLE", 120, false)                                           \
  X(invalid_record_state, "INVALID_RECORD_STATE", 121, false)                                             \
  X(share_session_not_found, "SHARE_SESSION_NOT_FOUND", 122, true)                                        \
  X(invalid_share_session_epoch, "INVALID_SHARE_SESSION_EPOCH", 123, true)                                \
  X(fenced_state_epoch, "FENCED_STATE_EPOCH", 124, false)                                                 \
  X(invalid_voter_key, "INVALID_VOTER_KEY", 125, false)                                                   \
  X(duplicate_voter, "DUPLICATE_VOTER", 126, false)                                                       \
  X(voter_not_found, "VOTER_NOT_FOUND", 127, false)                                                       \
  X(invalid_regular_expression, "INVALID_REGULAR_EXPRESSION", 128, false)                                 \
  X(rebootstrap_required, "REBOOTSTRAP_REQUIRED", 129, false)                                             \
  X(streams_invalid_topology, "STREAMS_INVALID_TOPOLOGY", 130, false)                                     \
  X(streams_invalid_topology_epoch, "STREAMS_INVALID_TOPOLOGY_EPOCH", 131, false)                         \
  X(streams_topology_fenced, "STREAMS_TOPOLOGY_FENCED", 132, false)                                       \
  X(share_session_limit_reached, "SHARE_SESSION_LIMIT_REACHED", 133, true)                                \
  X(group_deletion_failed, "GROUP_DELETION_FAILED", 134, false)                                           \
  X(streams_topology_description_update_failed, "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", 135, false) \
  X(controller_id_not_registered, "CONTROLLER_ID_NOT_REGISTERED", 136, false)

namespace ordeal::wire {

enum class ErrorCode : std::int16_t {
#define ORDEAL_ENUMERATOR(enumerator, name, code, retriable) enumerator = code,
  ORDEAL_KAFKA_ERRORS(ORDEAL_ENUMERATOR)
#undef ORDEAL_ENUMERATOR
};

std::string_view error_name(
    ErrorCode code);  // "NOT_LEADER_OR_FOLLOWER"; "UNKNOWN_ERROR_CODE" for numbers not in the table
bool is_retriable(ErrorCode code);

}  // namespace ordeal::wire

// Kafka's error numbers, as far as the metadata plane gives them out (the full table belongs to the wire protocol).
#pragma once

#include <cstdint>

namespace ordeal::meta::error_code {

inline constexpr std::int32_t kUnknownServerError = -1;
inline constexpr std::int32_t kNone = 0;
inline constexpr std::int32_t kUnknownTopicOrPartition = 3;
inline constexpr std::int32_t kRequestTimedOut = 7;
inline constexpr std::int32_t kInvalidTopic = 17;
inline constexpr std::int32_t kTopicAlreadyExists = 36;
inline constexpr std::int32_t kInvalidPartitions = 37;
inline constexpr std::int32_t kInvalidReplicationFactor = 38;
inline constexpr std::int32_t kInvalidReplicaAssignment = 39;
inline constexpr std::int32_t kInvalidConfig = 40;
inline constexpr std::int32_t kNotController = 41;
inline constexpr std::int32_t kInvalidRequest = 42;
inline constexpr std::int32_t kFencedLeaderEpoch = 74;
inline constexpr std::int32_t kStaleBrokerEpoch = 77;
inline constexpr std::int32_t kPreferredLeaderNotAvailable = 80;
inline constexpr std::int32_t kEligibleLeadersNotAvailable = 83;
inline constexpr std::int32_t kElectionNotNeeded = 84;
inline constexpr std::int32_t kInvalidUpdateVersion = 95;
inline constexpr std::int32_t kUnknownTopicId = 100;
inline constexpr std::int32_t kDuplicateBrokerRegistration = 101;
inline constexpr std::int32_t kBrokerIdNotRegistered = 102;
inline constexpr std::int32_t kInconsistentClusterId = 104;
inline constexpr std::int32_t kIneligibleReplica = 107;
inline constexpr std::int32_t kDuplicateVoter = 126;
inline constexpr std::int32_t kVoterNotFound = 127;

}  // namespace ordeal::meta::error_code

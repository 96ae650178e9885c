// Words for Kafka's smaller APIs, of which nothing need be remembered between request and answer.
#pragma once

#include <optional>

#include "broker/wire/api.h"
#include "faults/sim/messages/told.h"

namespace ordeal::sim {

// nullopt: damaged, or none of these APIs.
std::optional<Told> small_request(const wire::DecodedHeader& head);
std::optional<Told> small_reply(wire::ApiKey key, std::int16_t version, const Slice& frame, TopicNames& names);

}  // namespace ordeal::sim

// Raft messages and envelopes as bytes.
#pragma once

#include <optional>
#include <string>

#include "broker/meta/control.pb.h"
#include "broker/meta/raft.h"

namespace ordeal::meta {

inline constexpr std::size_t kFrameBytesMax = 32 << 20;

// Fills the body and names the api ("raft_append_request", ...).
void encode_raft(const raft::Message& message, Envelope& envelope);
// nullopt when the body is missing or makes no sense; from and to come from the envelope.
std::optional<raft::Message> decode_raft(const Envelope& envelope);

const char* api_name(const ControllerRequest& request);  // "broker_heartbeat", ...

// Length and envelope, ready to be written.
std::string encode_frame(const Envelope& envelope);

}  // namespace ordeal::meta

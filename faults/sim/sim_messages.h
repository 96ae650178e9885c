// Messages inside the simulated byte streams: what a request-level fault names, and what the message log shows.
//
// Kafka frames travel on ports 9092 and 9093, control envelopes on 9094. A framer a direction follows the stream from
// its first byte and knows where a message begins, which api it is and whether it replies. Streams keep their order
// whatever a fault does: behind a message that is delayed or held waits everything that follows on that direction of
// that connection; a dropped message is missing whole; a duplicate arrives right behind its first copy. Bytes that form
// no frames pass untouched.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "broker/base/types.h"
#include "faults/sim/messages/told.h"

namespace ordeal::sim {

// Acts on the messages that fit, after letting `skip` of them pass, `count` times.
struct MessageFault {
  enum class Action { delay, drop, duplicate, hold };
  // As Kafka spells it ("Fetch"), or the envelope's name ("raft_append", "alter_partition"); empty: any. Of Raft's
  // messages also the whole name ("raft_append_response"), which then says by itself whether it is a reply.
  std::string api;
  bool reply = false;
  std::string from;  // hosts as the message travels (of a reply: who answers); empty: any
  std::string to;
  Action action = Action::delay;
  Duration by{};  // of a delay: added to the drawn latency
  std::uint64_t skip = 0;
  std::uint64_t count = 1;
  std::string name;  // for release(), held(), remove_message_fault(); several faults may share one
};

struct MessageSeen {
  Instant sent_at{};
  std::optional<Instant> arrived_at;  // when its last byte did; none: lost
  std::string from;                   // hosts
  std::string to;
  std::string api;  // "Fetch", "raft_append"; empty: a reply whose request is not known
  bool reply = false;
  std::int64_t correlation = 0;
  std::uint64_t bytes = 0;  // with the length in front
  std::uint64_t connection = 0;
  Told told;         // partitions and words, from its body
  std::string lost;  // why it never arrived
  std::string note;  // what a fault did to it on its way
};

}  // namespace ordeal::sim

// Cuts one direction of one simulated connection into messages, for faults on single messages and for the message log.
//
// It always follows the lengths, so that a fault that is added late still finds where the next message begins. In mode
// `exact` alone does it keep a message's first bytes back until it knows what the message is, so that nothing of it
// has left before begin() was asked about it. Bytes that form no frames pass untouched for ever.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "broker/base/bytes.h"

namespace ordeal::sim {

enum class Protocol { none, kafka, control };
Protocol protocol_of(std::uint16_t port);

struct MessageId {
  std::string api;   // "Fetch", "raft_append"; empty: a reply whose request is not known
  std::string name;  // the envelope's own word ("raft_append_response"); else as api
  bool reply = false;
  std::int64_t correlation = 0;
  std::uint64_t bytes = 0;  // with the length in front
};

// Kafka's replies do not say what they answer: the requests of one connection that wait for theirs, oldest first.
using PendingRequests = std::deque<std::pair<std::int32_t, std::int16_t>>;  // correlation and api key

class Framer {
 public:
  // What comes out, in order: begin, the bytes, end; or bytes alone. The bytes that begin() is given have come out
  // before.
  class Sink {
   public:
    virtual ~Sink() = default;
    // `already`: of the message, what passed before it was known what it is.
    virtual void begin(const MessageId& message, ByteView already) = 0;
    virtual void bytes(ByteView view) = 0;
    virtual void end() = 0;
  };

  void start(Protocol protocol, bool requests, PendingRequests* pending);
  enum class Mode { lengths, names, exact };  // names: begin() and end() are called, but bytes are not kept back
  void feed(ByteView view, Mode mode, Sink& sink);
  void flush(Sink& sink);  // no more will come: what was kept back leaves

 private:
  static constexpr std::size_t kHeadMax = 160;

  std::size_t head_needed(Mode mode) const;
  bool take_head(ByteView& view, Mode mode, Sink& sink);
  void identify(Mode mode, Sink& sink);
  std::optional<std::int16_t> track(MessageId& message);

  Protocol protocol_ = Protocol::none;
  bool requests_ = false;
  PendingRequests* pending_ = nullptr;
  std::array<std::uint8_t, kHeadMax> head_{};
  std::size_t have_ = 0;     // of the head
  std::size_t passed_ = 0;   // of the head, before identify()
  std::uint64_t total_ = 0;  // of the message, with its length; 0: not known yet
  std::uint64_t left_ = 0;   // of an identified message
  bool named_ = false;       // begin() was called for the message under way
};

}  // namespace ordeal::sim

// The state behind simulated streams and listeners; shared by both ends and by whatever is on its way between them.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "faults/sim/sim_framer.h"
#include "faults/sim/sim_network.h"

namespace ordeal::sim {

// One thing on its way: bytes, the end of a direction, a reset, or a step of the handshake.
struct Packet {
  enum class Kind : std::uint8_t { syn, syn_ack, data, fin, rst };
  Kind kind = Kind::data;
  Bytes bytes;
  std::uint64_t end = 0;  // of data: how many bytes of the direction have been sent with it
};

// What faults on messages and the message log keep of one direction.
struct Messages {
  struct Waiting {
    Packet packet;
    Duration extra{};
    std::string hold;  // not empty: a held message begins here
  };
  Framer framer;
  std::deque<Waiting> waiting;  // behind a held message, in order
  // Of the message that is being sent.
  std::optional<MessageFault::Action> action;
  Duration extra{};
  std::string hold;
  Bytes copy;
  MessageSeen current;  // for the log
  Bytes body;           // of it, as far as it was sent
  bool open = false;    // it has begun and not ended
};

// Why an end of a connection takes no more: only for the words of the message log.
enum class Gone : std::uint8_t { no, closed, died, no_power, forgotten, reset_by_fault, reset_by_loss, reset_by_peer };

struct Connection {
  struct Side {
    Endpoint local;
    SimScheduler* owner = nullptr;  // the incarnation whose frames wait here; null: not accepted by anyone
    // As receiver.
    Bytes inbox;
    std::size_t taken = 0;  // bytes of the inbox already read
    bool ended = false;     // the peer's FIN was reached
    bool reset = false;
    bool established = false;
    // As sender.
    std::uint64_t next_send = 0;
    std::uint64_t next_deliver = 0;
    std::map<std::uint64_t, Packet> wire;  // arrived out of order, or held back by a cut
    Instant last_arrival{};
    Random random{0};  // of this direction of this connection alone
    std::uint64_t sent_bytes = 0;
    Messages messages;
    std::size_t unacknowledged = 0;
    std::size_t held_acks = 0;  // read by the peer while the way back was cut
    // Local end.
    bool closed = false;  // by us, by our death, or by power loss
    Gone gone = Gone::no;
    bool silent = false;  // the host lost power: nothing answers for this side
    bool missed = false;  // something arrived while silent: to be answered with RST once the host is back
    std::optional<env::ParkingLot::Token> reader;
    std::optional<env::ParkingLot::Token> writer;  // also the one who waits to be connected

    std::size_t readable() const { return inbox.size() - taken; }
    void wake(std::optional<env::ParkingLot::Token>& who) {
      if (who && owner != nullptr) owner->parking().release(*who);
      who.reset();
    }
    void wake_all() {
      wake(reader);
      wake(writer);
    }
  };

  std::uint64_t id = 0;
  PendingRequests requests;
  Side side[2];
};

struct ListenerState {
  Endpoint local;
  SimScheduler* owner = nullptr;
  std::deque<std::shared_ptr<Connection>> backlog;
  std::optional<env::ParkingLot::Token> waiter;
  bool closed = false;

  void wake() {
    if (waiter) owner->parking().release(*waiter);
    waiter.reset();
  }
};

}  // namespace ordeal::sim

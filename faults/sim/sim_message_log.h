// The message log of a simulated network: each message once, when it has arrived or is known to be lost, with what it
// said and, if it is lost, why.
//
// It only watches: nothing here draws, schedules or changes what a network does. A network without a log pays nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "faults/sim/messages/words.h"
#include "faults/sim/sim_connection.h"
#include "faults/sim/sim_executor.h"

namespace ordeal::sim {

class MessageLog {
 public:
  using Seen = std::function<void(const MessageSeen&)>;
  MessageLog(SimLoop& loop, Seen seen) : loop_(loop), seen_(std::move(seen)) {}

  // Of what `side` of the connection sends. `end`: where in the direction the message's last byte will stand.
  void began(Connection& connection, int side, const MessageId& message, ByteView already, std::uint64_t end,
             const std::optional<MessageFault>& fault);
  void bytes(Connection& connection, int side, ByteView view);
  void ended(Connection& connection, int side);
  void copied(Connection& connection, int side, std::uint64_t end);  // a duplicate of the one that ended
  void cut_short(Connection& connection, int side);                  // the stream ends, maybe within a message
  // The packet reached its host; `taken`: and somebody there holds the other end.
  void came(const Connection& connection, int side, const Packet& packet, bool taken, bool host_up);
  // What has happened to the messages of a packet that is still on its way: the first remark stays, and the last.
  void remark(const Connection& connection, int side, const Packet& packet, const std::string& what, bool last = false);
  void finish();  // what has not arrived by now is lost

 private:
  struct Record {
    std::uint64_t begin = 0;  // where in the direction it stands
    std::uint64_t end = 0;
    MessageSeen seen;
    std::string remark;
  };
  using Trail = std::deque<Record>;

  Trail& trail(const Connection& connection, int side) { return trails_[{connection.id, side}]; }
  void lose(Record& record, const std::string& why);

  SimLoop& loop_;
  Seen seen_;
  Words words_;
  std::map<std::pair<std::uint64_t, int>, Trail> trails_;  // sent and not yet settled
};

}  // namespace ordeal::sim

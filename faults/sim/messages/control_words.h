// Words for what nodes say to one another on the controller listener: Raft's messages, and requests to the controller.
// What a broker asked is remembered until the answer, so that a refusal says what was refused.
#pragma once

#include <map>
#include <utility>

#include "broker/base/bytes.h"
#include "broker/meta/control.pb.h"
#include "faults/sim/messages/told.h"

namespace ordeal::sim {

class ControlWords {
 public:
  explicit ControlWords(TopicNames& names) : names_(names) {}
  Told tell(std::uint64_t connection, ByteView frame);  // the whole message, its length in front

 private:
  Told raft(const meta::Envelope& envelope);
  Told append(const meta::RaftMessage& message);
  void entry(const meta::RaftEntry& entry, Told& told, std::vector<std::string>& others);
  void record(const meta::MetadataRecord& record, Told& told, std::vector<std::string>& others);
  Told request(const meta::ControllerRequest& request);
  Told response(const meta::ControllerResponse& response, const Told& asked);
  Told altered(const meta::AlterPartitionResponse& body, const Told& asked) const;

  TopicNames& names_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Told> asked_;  // connection and correlation
};

}  // namespace ordeal::sim

// What a script's expressions see: the simulated cluster and its clients, looked at without disturbing anything.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "faults/scenario/expression.h"
#include "faults/sim/cluster/sim_trial.h"

namespace ordeal::sim {

class WorldSight final : public scenario::Sight {
 public:
  // Counts trace events from now on. `bug`: what ran() tells of.
  WorldSight(Trial& trial, std::optional<mutation::Bug> bug);

  Result<scenario::Value> ask(std::string_view function, std::span<const scenario::Value> arguments) const override;
  Result<scenario::Value> count(const std::string& kind,
                                const std::vector<std::pair<std::string, scenario::Value>>& fields) const override;

 private:
  struct Counted {
    std::size_t next = 0;  // the first event not looked at
    std::int64_t found = 0;
  };

  std::optional<scenario::Value> of_partition(std::string_view function, const TopicPartition& at) const;
  std::optional<scenario::Value> of_replica(std::string_view function, NodeId node, const TopicPartition& at) const;
  std::optional<scenario::Value> of_node(std::string_view function, NodeId node) const;
  scenario::Value voters() const;
  std::optional<scenario::Value> of_world(std::string_view function) const;

  Trial& trial_;
  std::optional<mutation::Bug> bug_;
  std::size_t began_;
  mutable std::map<std::string, Counted> counts_;  // by query: events are only ever added
};

}  // namespace ordeal::sim

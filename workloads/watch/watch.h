// Watches a cluster whose brokers write no trace: asks every node on its own, again and again, and writes what changed
// in the form of our brokers' traces, so that roles, triggers, lanes and the checker need not know the difference.
//
// Each node is asked over connections of its own, so one that is paused or cut off holds up nobody else's answers. What
// lies between two looks is not seen: docs/targets.md says what that means for a trial.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "broker/channel/kafka_channel.h"
#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "workloads/watch/roles.h"

namespace ordeal::watch {

struct WatchedNode {
  NodeId id = kNoNode;
  Endpoint client;
  std::optional<Endpoint> control;  // where DescribeQuorum is asked; none: this node's quorum is not looked at
};

struct WatchConfig {
  std::vector<WatchedNode> nodes;
  std::vector<std::string> topics;  // empty: all there are
  Duration interval = 100ms;
};

// Errors name the file and the field; unknown fields are refused.
Result<WatchConfig> load_watch_config(const std::string& path);
Result<WatchConfig> parse_watch_config(const std::string& text, const std::string& where);

std::string trace_line(const RoleEvent& event, Instant at, WallMs wall);

class Watch {
 public:
  using Write = std::function<void(const std::string& line)>;
  Watch(env::Env& env, WatchConfig config, Write write);

  void start();
  env::Task<> stop();

 private:
  // One connection with its negotiated versions, opened again whenever it broke.
  struct Line {
    Endpoint to;
    std::unique_ptr<channel::KafkaChannel> channel;
    std::map<std::int16_t, std::int16_t> highest;  // api key -> the highest version that the node speaks
  };

  env::Task<> watch_cluster(const WatchedNode* node);
  env::Task<> watch_quorum(const WatchedNode* node);
  env::Task<Status> ready(Line* line, Instant deadline);
  template <class Request>
  env::Task<Result<typename Request::Response>> ask(Line* line, Request request, Instant deadline);
  void tell(const std::vector<RoleEvent>& events);

  env::Env& env_;
  WatchConfig config_;
  Write write_;
  Roles roles_;
  std::unique_ptr<env::Gate> gate_;
};

}  // namespace ordeal::watch

// The listeners for Kafka's protocol and the connections they accept.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "broker/env/sync.h"
#include "broker/server/connection.h"
#include "broker/server/services.h"

namespace ordeal::server {

class Server {
 public:
  explicit Server(Services& services);
  // Accepts from now on. Fails when the address cannot be had.
  Status listen(std::string name, Endpoint at);
  Endpoint local(const std::string& name) const;  // with the real port when 0 was asked for

  // Stop in two steps: first no new connections and requests, then, once what serves the running ones has let go of
  // them, wait for their replies to be sent (until the deadline) and close.
  void drain();
  env::Task<> close(Instant deadline);

  std::size_t connections() const { return connections_.size(); }

 private:
  env::Task<> accept_loop(std::string name, env::Listener& listener);
  env::Task<> serve(std::uint64_t id, std::shared_ptr<Connection> connection);
  bool idle() const;

  Services& services_;
  ConnectionLimits limits_;
  std::map<std::string, std::unique_ptr<env::Listener>> listeners_;
  std::map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::uint64_t next_id_ = 1;
  bool draining_ = false;
  env::Gate gate_;
};

}  // namespace ordeal::server

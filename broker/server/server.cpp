// Accepting, counting and closing connections.
#include "broker/server/server.h"

#include "broker/base/check.h"

namespace ordeal::server {

Server::Server(Services& services) : services_(services), gate_(services.env.scheduler) {
  limits_.frame_max = static_cast<std::size_t>(services.config.socket_request_max_bytes);
  limits_.in_flight_max = static_cast<std::size_t>(services.config.max_in_flight);
  limits_.idle_max = services.config.connections_max_idle;
}

Status Server::listen(std::string name, Endpoint at) {
  Result<std::unique_ptr<env::Listener>> listener = services_.env.network.listen(at);
  if (!listener) return fail(listener.error().at(name + "://" + at.to_string()));
  env::Listener& accepting = **listener;
  listeners_[name] = std::move(*listener);
  gate_.spawn(accept_loop(std::move(name), accepting), "server.accept");
  return {};
}

Endpoint Server::local(const std::string& name) const {
  const auto at = listeners_.find(name);
  ORDEAL_CHECK(at != listeners_.end(), "no listener {}", name);
  return at->second->local();
}

env::Task<> Server::accept_loop(std::string name, env::Listener& listener) {
  constexpr Duration kPause = 100ms;  // out of descriptors: others may give some back
  while (!gate_.closing() && !draining_) {
    Result<std::unique_ptr<env::Stream>> stream = co_await listener.accept();
    if (!stream && stream.error().code == Errc::closed) co_return;
    if (!stream) {
      services_.env.trace.warn("connection.accept_failed", {{"error", std::string_view(stream.error().text)}});
      const bool go_on = co_await gate_.sleep_for(kPause);
      if (!go_on) co_return;
      continue;
    }
    if (draining_) co_return;
    if (connections_.size() >= static_cast<std::size_t>(services_.config.max_connections)) {
      services_.env.trace.warn("connection.refused", {{"listener", std::string_view(name)},
                                                      {"error", std::string_view("max.connections is reached")}});
      continue;
    }
    const std::uint64_t id = next_id_++;
    auto connection = std::make_shared<Connection>(services_, std::move(*stream), name, limits_);
    connections_.emplace(id, connection);
    gate_.spawn(serve(id, std::move(connection)), "connection");
  }
}

env::Task<> Server::serve(std::uint64_t id, std::shared_ptr<Connection> connection) {
  co_await connection->run();
  connections_.erase(id);
}

bool Server::idle() const {
  for (const auto& [id, connection] : connections_) {
    if (!connection->idle()) return false;
  }
  return true;
}

void Server::drain() {
  draining_ = true;
  for (auto& [name, listener] : listeners_) listener->close();
  for (auto& [id, connection] : connections_) connection->drain();
}

env::Task<> Server::close(Instant deadline) {
  drain();
  while (!idle() && services_.env.scheduler.now() < deadline) co_await services_.env.scheduler.sleep_for(5ms);
  for (auto& [id, connection] : connections_) connection->close();
  co_await gate_.close();
}

}  // namespace ordeal::server

// The env::Stream, env::Listener and env::Network faces of the simulated network.
//
// After an await only the shared connection is touched: the stream object may have been destroyed meanwhile.
#include <algorithm>

#include "faults/sim/sim_connection.h"
#include "faults/sim/sim_network.h"

namespace ordeal::sim {
namespace {

using ConnectionPtr = std::shared_ptr<Connection>;
constexpr std::size_t kSegment = 64 << 10;

std::string describe(const Connection& connection, int side) {
  return connection.side[side].local.to_string() + " to " + connection.side[1 - side].local.to_string();
}
std::unexpected<Error> is_closed(const Connection& connection, int side) {
  return fail(Errc::closed, describe(connection, side) + ": closed");
}
std::unexpected<Error> is_reset(const Connection& connection, int side) {
  return fail(Errc::unreachable, describe(connection, side) + ": connection reset by peer");
}

}  // namespace

class SimStream final : public env::Stream {
 public:
  SimStream(SimNetwork& network, SimScheduler& scheduler, ConnectionPtr connection, int side)
      : network_(network), scheduler_(scheduler), connection_(std::move(connection)), side_(side) {}
  ~SimStream() override { SimStream::close(); }

  env::Task<Result<std::size_t>> read_some(MutableByteView buffer) override {
    return read(network_, scheduler_, connection_, side_, buffer);
  }
  env::Task<Status> write(std::span<const ByteView> parts) override {
    return write(network_, scheduler_, connection_, side_, parts);
  }
  void close() override {
    Connection::Side& mine = connection_->side[side_];
    if (scheduler_.doomed()) return;  // the network has spoken for the dead already
    network_.end_side(connection_, side_, mine.readable() > 0);
  }
  Endpoint peer() const override { return connection_->side[1 - side_].local; }
  Endpoint local() const override { return connection_->side[side_].local; }

 private:
  static env::Task<Result<std::size_t>> read(SimNetwork& network, SimScheduler& scheduler, ConnectionPtr connection,
                                             int side, MutableByteView buffer) {
    Connection::Side& mine = connection->side[side];
    while (true) {
      if (mine.closed || scheduler.doomed()) co_return is_closed(*connection, side);
      if (mine.reset) co_return is_reset(*connection, side);
      if (mine.readable() > 0) break;
      if (mine.ended) co_return is_closed(*connection, side);
      const env::ParkingLot::Token token = scheduler.parking().reserve();
      mine.reader = token;
      co_await scheduler.parking().park(token);
    }
    const std::size_t count = std::min(buffer.size(), mine.readable());
    std::copy_n(mine.inbox.begin() + static_cast<std::ptrdiff_t>(mine.taken), count, buffer.begin());
    mine.taken += count;
    if (mine.taken == mine.inbox.size()) {
      mine.inbox.clear();
      mine.taken = 0;
    }
    network.acknowledge(*connection, side, count);
    co_return count;
  }

  static env::Task<Status> write(SimNetwork& network, SimScheduler& scheduler, ConnectionPtr connection, int side,
                                 std::span<const ByteView> parts) {
    Connection::Side& mine = connection->side[side];
    Bytes pending;
    for (const ByteView part : parts) pending.insert(pending.end(), part.begin(), part.end());
    for (std::size_t sent = 0; sent < pending.size();) {
      if (mine.closed || scheduler.doomed()) co_return is_closed(*connection, side);
      if (mine.reset) co_return is_reset(*connection, side);
      if (mine.unacknowledged >= network.profile_.window) {
        const env::ParkingLot::Token token = scheduler.parking().reserve();
        mine.writer = token;
        co_await scheduler.parking().park(token);
        continue;
      }
      std::size_t count = std::min({pending.size() - sent, kSegment, network.profile_.window - mine.unacknowledged});
      if (network.profile_.split_in != 0 && count > 1 && mine.random.chance(1, network.profile_.split_in))
        count = 1 + mine.random.below(count - 1);
      network.send_bytes(connection, side, ByteView(pending).subspan(sent, count));
      sent += count;
    }
    co_return Status{};
  }

  SimNetwork& network_;
  SimScheduler& scheduler_;
  ConnectionPtr connection_;
  int side_;
};

class SimListener final : public env::Listener {
 public:
  SimListener(SimNetwork& network, SimScheduler& scheduler, std::shared_ptr<ListenerState> state)
      : network_(network), scheduler_(scheduler), state_(std::move(state)) {}
  ~SimListener() override { SimListener::close(); }

  env::Task<Result<std::unique_ptr<env::Stream>>> accept() override { return accept(network_, scheduler_, state_); }
  void close() override {
    if (scheduler_.doomed() || state_->closed) return;
    state_->closed = true;
    network_.listeners_.erase(state_->local);
    for (const ConnectionPtr& connection : state_->backlog) network_.end_side(connection, 1, true);
    state_->backlog.clear();
    state_->wake();
  }
  Endpoint local() const override { return state_->local; }

 private:
  static env::Task<Result<std::unique_ptr<env::Stream>>> accept(SimNetwork& network, SimScheduler& scheduler,
                                                                std::shared_ptr<ListenerState> state) {
    while (true) {
      if (state->closed || scheduler.doomed()) co_return fail(Errc::closed, state->local.to_string() + ": closed");
      if (!state->backlog.empty()) break;
      const env::ParkingLot::Token token = scheduler.parking().reserve();
      state->waiter = token;
      co_await scheduler.parking().park(token);
    }
    ConnectionPtr connection = std::move(state->backlog.front());
    state->backlog.pop_front();
    std::unique_ptr<env::Stream> stream = std::make_unique<SimStream>(network, scheduler, std::move(connection), 1);
    co_return stream;
  }

  SimNetwork& network_;
  SimScheduler& scheduler_;
  std::shared_ptr<ListenerState> state_;
};

Result<std::unique_ptr<env::Listener>> HostNetwork::listen(Endpoint at) {
  if (scheduler_.doomed()) return fail(Errc::closed, "the node is dead");
  if (at.host.empty() || at.host == "0.0.0.0") at.host = host_;
  if (at.host != host_) return fail(Errc::invalid_argument, at.to_string() + ": not an address of " + host_);
  while (at.port == 0 || (at.port >= 32768 && network_.listeners_.contains(at)))
    at.port = network_.ephemeral_port(host_);
  auto state = std::make_shared<ListenerState>();
  state->local = at;
  state->owner = &scheduler_;
  if (!network_.listeners_.emplace(at, state).second)
    return fail(Errc::already_exists, at.to_string() + ": address in use");
  return std::make_unique<SimListener>(network_, scheduler_, std::move(state));
}

env::Task<Result<std::unique_ptr<env::Stream>>> HostNetwork::connect(Endpoint to, Instant deadline) {
  SimNetwork& network = network_;
  SimScheduler& scheduler = scheduler_;
  if (scheduler.doomed()) co_return fail(Errc::closed, "the node is dead");
  if (!network.hosts_.contains(to.host)) co_return fail(Errc::unreachable, to.to_string() + ": no such host");
  auto connection = std::make_shared<Connection>();
  connection->id = network.next_connection_++;
  connection->side[0].local = Endpoint{host_, network.ephemeral_port(host_)};
  connection->side[0].owner = &scheduler;
  connection->side[1].local = to;
  network.open_streams(*connection);
  network.connections_.emplace(connection->id, connection);
  network.send(connection, 0, {Packet::Kind::syn, {}});
  Connection::Side& mine = connection->side[0];
  auto expired = std::make_shared<bool>(false);
  env::TimerId timer = 0;
  if (deadline != kForever) {
    timer = scheduler.call_at(deadline, [connection, expired] {
      *expired = true;
      connection->side[0].wake(connection->side[0].writer);
    });
  }
  while (!mine.established && !mine.reset && !mine.closed && !*expired) {
    const env::ParkingLot::Token token = scheduler.parking().reserve();
    mine.writer = token;
    co_await scheduler.parking().park(token);
  }
  scheduler.cancel(timer);
  if (mine.established && !mine.reset && !mine.closed) {
    std::unique_ptr<env::Stream> stream = std::make_unique<SimStream>(network, scheduler, std::move(connection), 0);
    co_return stream;
  }
  mine.closed = true;  // a late answer is met with RST
  if (mine.reset) co_return fail(Errc::refused, to.to_string() + ": connection refused");
  co_return fail(Errc::timed_out, "connect to " + to.to_string() + ": no answer in time");
}

}  // namespace ordeal::sim

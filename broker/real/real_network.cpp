#include "broker/real/real_network.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace ordeal::real {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

const auto kAwait = asio::as_tuple(asio::use_awaitable_t<env::Executor>());

Error from_system(const error_code& code, const std::string& what) {
  Errc kind = Errc::unreachable;
  if (code == asio::error::eof || code == asio::error::operation_aborted || code == asio::error::bad_descriptor ||
      code == asio::error::broken_pipe) {
    kind = Errc::closed;
  } else if (code == asio::error::connection_refused) {
    kind = Errc::refused;
  } else if (code == asio::error::timed_out) {
    kind = Errc::timed_out;
  } else if (code == asio::error::address_in_use || code == asio::error::access_denied) {
    kind = Errc::io;
  }
  return {kind, fmt::format("{}: {}", what, code.message())};
}

Endpoint to_endpoint(const tcp::endpoint& from) { return {from.address().to_string(), from.port()}; }

Result<tcp::endpoint> parse(const Endpoint& at) {
  error_code error;
  const auto address = asio::ip::make_address(at.host, error);
  if (error) return fail(Errc::invalid_argument, fmt::format("{}: not a numeric address", at.to_string()));
  return tcp::endpoint(address, at.port);
}

class RealStream final : public env::Stream {
 public:
  explicit RealStream(tcp::socket socket) : socket_(std::move(socket)) {
    error_code ignored;  // a socket that died meanwhile reports at its first use
    socket_.set_option(tcp::no_delay(true), ignored);
    const auto remote = socket_.remote_endpoint(ignored);
    if (!ignored) peer_ = to_endpoint(remote);
    const auto here = socket_.local_endpoint(ignored);
    if (!ignored) local_ = to_endpoint(here);
  }
  ~RealStream() override { close(); }

  env::Task<Result<std::size_t>> read_some(MutableByteView buffer) override {
    auto [error, count] = co_await socket_.async_read_some(asio::buffer(buffer.data(), buffer.size()), kAwait);
    if (error) co_return fail(from_system(error, peer_.to_string()));
    co_return count;
  }

  env::Task<Status> write(std::span<const ByteView> parts) override {
    std::vector<asio::const_buffer> buffers;
    buffers.reserve(parts.size());
    for (const ByteView part : parts) buffers.emplace_back(part.data(), part.size());
    auto [error, count] = co_await asio::async_write(socket_, buffers, kAwait);
    if (error) co_return fail(from_system(error, peer_.to_string()));
    co_return Status{};
  }

  void close() override {
    error_code ignored;  // closing twice is fine
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  Endpoint peer() const override { return peer_; }
  Endpoint local() const override { return local_; }

 private:
  tcp::socket socket_;
  Endpoint peer_;
  Endpoint local_;
};

class RealListener final : public env::Listener {
 public:
  RealListener(tcp::acceptor acceptor, Endpoint local) : acceptor_(std::move(acceptor)), local_(std::move(local)) {}
  ~RealListener() override { close(); }

  env::Task<Result<std::unique_ptr<env::Stream>>> accept() override {
    auto [error, socket] = co_await acceptor_.async_accept(kAwait);
    if (error) co_return fail(from_system(error, "accept on " + local_.to_string()));
    std::unique_ptr<env::Stream> stream = std::make_unique<RealStream>(std::move(socket));
    co_return stream;
  }

  void close() override {
    error_code ignored;  // closing twice is fine
    acceptor_.close(ignored);
  }

  Endpoint local() const override { return local_; }

 private:
  tcp::acceptor acceptor_;
  Endpoint local_;
};

}  // namespace

Result<std::unique_ptr<env::Listener>> RealNetwork::listen(Endpoint at) {
  const auto where = parse(at);
  if (!where) return fail(where.error());
  tcp::acceptor acceptor(scheduler_.context());
  error_code error;
  const std::string what = "listen on " + at.to_string();
  acceptor.open(where->protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(*where, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return fail(from_system(error, what));
  Endpoint local = to_endpoint(acceptor.local_endpoint());
  return std::make_unique<RealListener>(std::move(acceptor), std::move(local));
}

env::Task<Result<std::unique_ptr<env::Stream>>> RealNetwork::connect(Endpoint to, Instant deadline) {
  const auto where = parse(to);
  if (!where) co_return fail(where.error());
  auto socket = std::make_shared<tcp::socket>(scheduler_.context());
  auto expired = std::make_shared<bool>(false);
  const env::TimerId timer = deadline == kForever ? 0 : scheduler_.call_at(deadline, [socket, expired] {
    error_code ignored;  // the connect below reports the abort
    *expired = true;
    socket->close(ignored);
  });
  auto [error] = co_await socket->async_connect(*where, kAwait);
  if (timer != 0) scheduler_.cancel(timer);
  if (*expired) co_return fail(Errc::timed_out, fmt::format("connect to {}: no answer in time", to.to_string()));
  if (error) co_return fail(from_system(error, "connect to " + to.to_string()));
  std::unique_ptr<env::Stream> stream = std::make_unique<RealStream>(std::move(*socket));
  co_return stream;
}

Result<Endpoint> resolve(const std::string& host, std::uint16_t port) {
  asio::io_context io;
  tcp::resolver resolver(io);
  error_code error;
  const auto found = resolver.resolve(host, std::to_string(port), error);
  if (error || found.empty())
    return fail(Errc::not_found, fmt::format("{}: cannot be resolved: {}", host, error.message()));
  for (const auto& entry : found) {
    if (entry.endpoint().address().is_v4()) return to_endpoint(entry.endpoint());
  }
  return to_endpoint(found.begin()->endpoint());
}

}  // namespace ordeal::real

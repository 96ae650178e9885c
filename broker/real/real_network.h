// TCP through Asio. IPv4 and IPv6 literals; names are resolved before they get here.
#pragma once

#include "broker/env/network.h"
#include "broker/real/real_scheduler.h"

namespace ordeal::real {

class RealNetwork final : public env::Network {
 public:
  explicit RealNetwork(RealScheduler& scheduler) : scheduler_(scheduler) {}
  Result<std::unique_ptr<env::Listener>> listen(Endpoint at) override;
  env::Task<Result<std::unique_ptr<env::Stream>>> connect(Endpoint to, Instant deadline) override;

 private:
  RealScheduler& scheduler_;
};

// "host:port" to numeric endpoints by the system's resolver; for command lines only.
Result<Endpoint> resolve(const std::string& host, std::uint16_t port);

}  // namespace ordeal::real

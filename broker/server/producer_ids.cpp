// Blocks are fetched one at a time; whoever waits meanwhile takes from the block that arrives.
#include "broker/server/producer_ids.h"

#include <fmt/format.h>

#include "broker/meta/control.pb.h"

namespace ordeal::server {

env::Task<Status> ProducerIds::refill(Instant deadline) {
  meta::ControllerRequest request;
  request.mutable_allocate_producer_ids()->set_broker_id(self_);
  request.mutable_allocate_producer_ids()->set_broker_epoch(metadata_.broker_epoch());
  Result<meta::ControllerResponse> response = co_await metadata_.call_controller(std::move(request), deadline);
  if (!response) co_return fail(response.error());
  const meta::AllocateProducerIdsResponse& block = response->allocate_producer_ids();
  const std::int32_t error = response->error_code() != 0 ? response->error_code() : block.error_code();
  if (error != 0 || block.count() <= 0) {
    co_return fail(Errc::not_leader, fmt::format("no producer ids from the controller: error {}", error));
  }
  next_ = block.first_producer_id();
  end_ = block.first_producer_id() + block.count();
  co_return Status{};
}

env::Task<Result<ProducerId>> ProducerIds::next(Instant deadline) {
  while (next_ == end_) {
    if (refilling_) {
      const bool woken = co_await changed_.wait(deadline);
      if (!woken) co_return fail(Errc::timed_out, "waiting for producer ids");
      continue;
    }
    refilling_ = true;
    Status refilled = co_await refill(deadline);
    refilling_ = false;
    changed_.notify_all();
    if (!refilled) co_return fail(refilled.error());
  }
  co_return next_++;
}

}  // namespace ordeal::server

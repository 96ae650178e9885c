#include "broker/env/parking.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "broker/base/check.h"

namespace ordeal::env {
namespace asio = boost::asio;
namespace {

template <class Handler>
struct HandlerFrame final : ParkingLot::Frame {
  explicit HandlerFrame(Handler waiting) : handler(std::move(waiting)) {}
  void resume() override {
    auto executor = asio::get_associated_executor(handler);
    asio::post(executor, std::move(handler));
  }
  Handler handler;
};

}  // namespace

ParkingLot::ParkingLot(Executor executor) : executor_(std::move(executor)) {}

ParkingLot::~ParkingLot() { drop_all(); }

ParkingLot::Token ParkingLot::reserve() {
  const Token token = next_++;
  slots_.emplace(token, Slot{});
  return token;
}

Task<> ParkingLot::park(Token token) {
  auto found = slots_.find(token);
  ORDEAL_CHECK(found != slots_.end() && found->second.frame == nullptr, "parking token {} is not free", token);
  if (found->second.released) {
    slots_.erase(found);
    co_return;
  }
  asio::use_awaitable_t<Executor> completion;
  co_await asio::async_initiate<asio::use_awaitable_t<Executor>, void()>(
      [](auto handler, ParkingLot* lot, Token mine) {
        lot->slots_.at(mine).frame = std::make_unique<HandlerFrame<decltype(handler)>>(std::move(handler));
      },
      completion, this, token);
}

void ParkingLot::release(Token token) {
  auto found = slots_.find(token);
  if (found == slots_.end()) return;
  if (found->second.frame == nullptr) {
    found->second.released = true;
    return;
  }
  auto frame = std::move(found->second.frame);
  slots_.erase(found);
  frame->resume();
}

void ParkingLot::drop_all() {
  // Destroying a frame may run destructors that release or reserve others: take them out one at a time.
  while (!slots_.empty()) {
    auto node = slots_.extract(slots_.begin());
  }
}

}  // namespace ordeal::env

// Task<T>: the coroutine type of every mover. The only Asio header most code ever sees.
//
// House rules for coroutines (they keep lifetimes reviewable):
//   name each awaited result before testing it; no co_await inside an if/while/switch head;
//   no brace-initialised aggregate or capturing lambda written inside a co_await expression;
//   parameters by value or owned by something that outlives the task; re-check state after every await.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace ordeal::env {

using Executor = boost::asio::any_io_executor;

template <class T = void>
using Task = boost::asio::awaitable<T, Executor>;

}  // namespace ordeal::env

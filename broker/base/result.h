// Errors of the world are values: Result<T>. Errors of the programmer abort: see check.h.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace ordeal {

enum class Errc {
  invalid_argument,  // the caller's input is wrong (config, plan, request)
  corrupt,           // bytes that should be ours do not check (crc, length, magic)
  io,                // the disk said no
  no_space,          // ENOSPC
  not_found,
  already_exists,
  out_of_range,  // offset outside [start, end)
  timed_out,
  closed,       // the peer or we closed the stream, or the node is stopping
  refused,      // connection refused
  unreachable,  // no route, reset
  unsupported,
  not_leader,
  fenced,  // an older epoch than the current one
  internal,
};

const char* errc_name(Errc code);

struct [[nodiscard]] Error {
  Errc code = Errc::internal;
  std::string text;  // names the thing and the place: "orders-3/00000000000000000000.log at byte 4096: bad crc"

  // Puts where it happened in front: Error{corrupt,"bad crc"}.at("orders-3") -> "orders-3: bad crc".
  Error at(std::string_view where) const { return {code, std::string(where) + ": " + text}; }
  std::string to_string() const { return std::string(errc_name(code)) + ": " + text; }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(Errc code, std::string text) {
  return std::unexpected(Error{code, std::move(text)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

}  // namespace ordeal

// Returns the error of `expr` from the enclosing function; for coroutines ORDEAL_CO_TRY.
#define ORDEAL_TRY(expr)                                                                                             \
  do {                                                                                                               \
    if (auto ordeal_try_ = (expr); !ordeal_try_.has_value()) return std::unexpected(std::move(ordeal_try_).error()); \
  } while (false)
#define ORDEAL_CO_TRY(expr)                                      \
  do {                                                           \
    if (auto ordeal_try_ = (expr); !ordeal_try_.has_value())     \
      co_return std::unexpected(std::move(ordeal_try_).error()); \
  } while (false)

#include "broker/base/check.h"

#include <cstdio>
#include <cstdlib>

#include "broker/base/result.h"

namespace ordeal {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  fmt::print(stderr, "CHECK failed at {}:{}: {}{}{}\n", file, line, condition, message.empty() ? "" : ": ", message);
  std::fflush(stderr);
  std::abort();
}

const char* errc_name(Errc code) {
  switch (code) {
    case Errc::invalid_argument:
      return "invalid argument";
    case Errc::corrupt:
      return "corrupt";
    case Errc::io:
      return "i/o error";
    case Errc::no_space:
      return "no space left";
    case Errc::not_found:
      return "not found";
    case Errc::already_exists:
      return "already exists";
    case Errc::out_of_range:
      return "out of range";
    case Errc::timed_out:
      return "timed out";
    case Errc::closed:
      return "closed";
    case Errc::refused:
      return "refused";
    case Errc::unreachable:
      return "unreachable";
    case Errc::unsupported:
      return "unsupported";
    case Errc::not_leader:
      return "not leader";
    case Errc::fenced:
      return "fenced";
    case Errc::internal:
      return "internal error";
  }
  return "unknown error";
}

}  // namespace ordeal

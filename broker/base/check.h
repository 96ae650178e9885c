// ORDEAL_CHECK stays on in every build: a broken invariant must stop the process (or the simulated world) at once,
// because a harness that limps on produces verdicts nobody can trust.
#pragma once

#include <fmt/format.h>

#include <string>

namespace ordeal {
// Prints file, line, condition, message and aborts. Never returns.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);
}  // namespace ordeal

#define ORDEAL_CHECK(condition, ...)                                                                \
  do {                                                                                              \
    if (!(condition)) [[unlikely]]                                                                  \
      ::ordeal::check_failed(__FILE__, __LINE__, #condition, ::ordeal::check_message(__VA_ARGS__)); \
  } while (false)

namespace ordeal {
inline std::string check_message() { return {}; }
template <class... Args>
std::string check_message(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}
}  // namespace ordeal

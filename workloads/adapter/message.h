// Reading messages of programs that may send anything: a field of the wrong type counts as missing.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace ordeal::adapter {

using Message = nlohmann::json;

inline std::string text_of(const Message& message, const char* field, std::string otherwise = {}) {
  const auto found = message.find(field);
  return found != message.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

inline std::optional<std::int64_t> integer_of(const Message& message, const char* field) {
  const auto found = message.find(field);
  if (found == message.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<std::int64_t>();
}

// The list under `field`, or an empty one.
inline const Message& list_of(const Message& message, const char* field) {
  static const Message kNothing = Message::array();
  const auto found = message.find(field);
  return found != message.end() && found->is_array() ? *found : kNothing;
}

// The beginning of foreign bytes, fit for an error message in any encoding.
inline std::string shown(std::string_view bytes) {
  constexpr std::size_t kShown = 200;
  std::string out;
  for (const char c : bytes.substr(0, kShown)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (bytes.size() > kShown ? "..." : "");
}

}  // namespace ordeal::adapter

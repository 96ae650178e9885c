#include "faults/sim/messages/told.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/wire/error_codes.h"

namespace ordeal::sim {

namespace {
constexpr std::size_t kTextMax = 60;
constexpr std::size_t kPartsSpoken = 4;
constexpr std::size_t kNamesMax = 10'000;
}  // namespace

std::string sentence(const Told& told) {
  std::string text = told.say;
  for (std::size_t i = 0; i < std::min(told.parts.size(), kPartsSpoken); ++i) {
    if (!text.empty()) text += i == 0 ? " " : ", ";
    text += told.parts[i].partition;
    if (!told.parts[i].words.empty()) text += " " + told.parts[i].words;
  }
  if (told.parts.size() > kPartsSpoken) text += fmt::format(" and {} more", told.parts.size() - kPartsSpoken);
  return text;
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kTextMax));
  for (char& c : out)
    if (c < 0x20 || c > 0x7e) c = '?';
  return text.size() > kTextMax ? out + "..." : out;
}

std::string error_words(std::int64_t code) {
  if (code < INT16_MIN || code > INT16_MAX) return fmt::format("error {}", code);
  const std::string_view name = wire::error_name(static_cast<wire::ErrorCode>(code));
  return name == "UNKNOWN_ERROR_CODE" ? fmt::format("error {}", code) : std::string(name);
}

void TopicNames::learn(const Uuid& id, std::string_view name) {
  if (!id.is_zero() && !name.empty() && names_.size() < kNamesMax) names_[id] = printable(name);
}

void TopicNames::learn(std::string_view id, std::string_view name) {
  Uuid uuid;
  if (id.size() != uuid.bytes.size()) return;
  std::copy_n(id.begin(), id.size(), uuid.bytes.begin());
  learn(uuid, name);
}

std::string TopicNames::of(const Uuid& id) const {
  const auto found = names_.find(id);
  return found == names_.end() ? "topic id " + id.to_string().substr(0, 6) : found->second;
}

std::string TopicNames::of(std::string_view id) const {
  Uuid uuid;
  if (id.size() != uuid.bytes.size()) return "?";
  std::copy_n(id.begin(), id.size(), uuid.bytes.begin());
  return of(uuid);
}

std::string partition_name(std::string_view topic, std::int32_t partition) {
  return fmt::format("{}/{}", printable(topic), partition);
}

}  // namespace ordeal::sim

// Writing and strict reading of checkpoint text.
#include "broker/log/checkpoint_file.h"

#include <charconv>

namespace ordeal::log {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

Bytes encode_checkpoint(const std::vector<std::vector<std::string>>& lines) {
  std::string text = "0\n" + std::to_string(lines.size()) + "\n";
  for (const auto& fields : lines) {
    for (std::size_t i = 0; i < fields.size(); ++i) text += (i == 0 ? "" : " ") + fields[i];
    text += '\n';
  }
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

Result<std::vector<std::vector<std::string>>> decode_checkpoint(ByteView text, std::size_t fields) {
  std::vector<std::string> lines = split(as_text(text), '\n');
  if (lines.size() < 3 || !lines.back().empty()) return fail(Errc::corrupt, "checkpoint is cut short");
  lines.pop_back();
  if (lines[0] != "0") return fail(Errc::corrupt, "checkpoint version \"" + lines[0] + "\"");
  const auto count = parse_number(lines[1]);
  if (!count || *count < 0 || static_cast<std::size_t>(*count) != lines.size() - 2) {
    return fail(Errc::corrupt,
                "checkpoint claims \"" + lines[1] + "\" entries and holds " + std::to_string(lines.size() - 2));
  }
  std::vector<std::vector<std::string>> entries;
  for (std::size_t i = 2; i < lines.size(); ++i) {
    entries.push_back(split(lines[i], ' '));
    if (entries.back().size() != fields) return fail(Errc::corrupt, "checkpoint line \"" + lines[i] + "\"");
  }
  return entries;
}

Bytes encode_offsets(const std::map<TopicPartition, Offset>& offsets) {
  std::vector<std::vector<std::string>> lines;
  lines.reserve(offsets.size());
  for (const auto& [partition, offset] : offsets) {
    lines.push_back({partition.topic, std::to_string(partition.partition), std::to_string(offset)});
  }
  return encode_checkpoint(lines);
}

Result<std::map<TopicPartition, Offset>> decode_offsets(ByteView text) {
  const auto lines = decode_checkpoint(text, 3);
  if (!lines) return fail(lines.error());
  std::map<TopicPartition, Offset> offsets;
  for (const auto& line : *lines) {
    const auto partition = parse_number(line[1]);
    const auto offset = parse_number(line[2]);
    if (!partition || !offset || *partition < 0 || *partition > INT32_MAX || *offset < 0) {
      return fail(Errc::corrupt, "checkpoint line \"" + line[0] + " " + line[1] + " " + line[2] + "\"");
    }
    const TopicPartition key{line[0], static_cast<PartitionId>(*partition)};
    if (!offsets.emplace(key, *offset).second) return fail(Errc::corrupt, key.to_string() + " stands twice");
  }
  return offsets;
}

}  // namespace ordeal::log

// Kafka's checkpoint text: a version line "0", a line with the number of entries, one entry a line, fields separated by
// one space. Pure; the callers write it with Disk::replace_file so that a crash leaves the old or the new file whole.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::log {

Bytes encode_checkpoint(const std::vector<std::vector<std::string>>& lines);
// Errc::corrupt unless the text is exactly that, with `fields` fields in each line.
Result<std::vector<std::vector<std::string>>> decode_checkpoint(ByteView text, std::size_t fields);

// "<topic> <partition> <offset>" lines: recovery points, log starts, high watermarks.
Bytes encode_offsets(const std::map<TopicPartition, Offset>& offsets);
Result<std::map<TopicPartition, Offset>> decode_offsets(ByteView text);

std::optional<std::int64_t> parse_number(std::string_view text);  // decimal, the whole text

}  // namespace ordeal::log

// Base64 (RFC 4648, with padding): how record bytes travel inside JSON lines.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/base/bytes.h"

namespace ordeal::adapter {

void append_base64(std::string& out, ByteView bytes);
std::optional<Bytes> decode_base64(std::string_view text);  // none: not Base64

}  // namespace ordeal::adapter

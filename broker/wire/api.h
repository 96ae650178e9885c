// The public face of the wire layer: which APIs and versions exist, frames, headers, and whole-message coding.
//
// A frame is a big-endian int32 size and that many bytes. encode_* return whole frames, ready to be written; decode_*
// take the frame's content, without the size. Only names and lengths are checked here: meaning is the handlers'
// business.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/wire/message.h"

namespace ordeal::wire {

struct ApiVersionRange {
  ApiKey key;
  std::string_view name;        // "Produce"
  Versions advertised;          // what ApiVersions says; may begin below `supported` where old clients look for it;
                                // empty (to < from): an API we only speak as a client
  Versions supported;           // what we encode and decode
  std::int16_t first_flexible;  // request and response bodies are flexible from this version on
  bool flexible(std::int16_t version) const { return version >= first_flexible; }
};

std::span<const ApiVersionRange> all_apis();        // sorted by key
const ApiVersionRange* find_api(std::int16_t key);  // nullptr: not one of ours
const ApiVersionRange& api_of(ApiKey key);

struct RequestHeader {
  std::int16_t api_key = 0;
  std::int16_t api_version = 0;
  std::int32_t correlation_id = 0;
  std::optional<std::string> client_id;
};

struct DecodedHeader {
  RequestHeader header;
  const ApiVersionRange* api = nullptr;  // nullptr: unknown key; the body cannot be read
  bool supported = false;                // key known and version within api->supported
  Slice body;                            // what follows the header; empty when the api is unknown
};

// Errc::corrupt for a damaged header. An unknown api or version is no error here: see DecodedHeader.
Result<DecodedHeader> decode_request_header(const Slice& frame);

// The whole message; bytes left over are an error, but in messages with kTrailingBytes. `version` must be one that
// api_of(T::kKey).supported has, else Errc::unsupported. Errors name message, field path and byte:
// "FetchRequest.topics.partition at byte 31: needs 4 ...".
template <class T>
Result<T> decode(const Slice& body, std::int16_t version);

// Appends the body alone.
template <class T>
void encode(const T& message, std::int16_t version, Bytes& out);

// header.api_version is the version; header.api_key is taken from Request.
template <class Request>
Bytes encode_request(const RequestHeader& header, const Request& request);

template <class Response>
Bytes encode_response(std::int32_t correlation_id, std::int16_t version, const Response& response);

template <class Response>
struct DecodedResponse {
  std::int32_t correlation_id = 0;
  Response body;
};
template <class Response>
Result<DecodedResponse<Response>> decode_response(const Slice& frame, std::int16_t version);

// Of a response frame, before it is known which request it answers.
Result<std::int32_t> peek_correlation_id(ByteView frame);

}  // namespace ordeal::wire

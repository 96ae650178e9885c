// The two visitors behind api.h. Only the messages_*.cpp files include this: they instantiate the coding of each
// message once, so that users of a message compile its struct and nothing more.
#pragma once

#include <fmt/format.h>

#include <array>
#include <concepts>
#include <type_traits>
#include <utility>

#include "broker/base/check.h"
#include "broker/wire/api.h"
#include "broker/wire/codec.h"

namespace ordeal::wire {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// Equal to what the struct's own initialisers give.
template <class T>
bool is_default(const T& value, const T& fallback) {
  return value == fallback;
}

class Encoder {
 public:
  Encoder(Bytes& out, std::int16_t version, bool flexible) : writer_(out), version_(version), flexible_(flexible) {}

  template <class T>
  void message(const T& value) {
    structure(value);
  }

  template <class T>
  void operator()(const char*, const T& member, Versions present = kAllVersions, Versions nullable = kAllVersions) {
    if (!present.has(version_)) return;
    value(member, nullable);
  }

  template <class T>
  void tagged(std::uint32_t tag, const char*, const T& member, Versions present, const T& fallback = T{}) {
    if (!flexible_ || !present.has(version_) || is_default(member, fallback)) return;
    Bytes content;
    Encoder nested(content, version_, flexible_);
    nested.value(member, kAllVersions);
    tags_.emplace_back(tag, std::move(content));
  }

 private:
  Style style() const { return flexible_ ? Style::compact : Style::old; }

  template <class T>
  void structure(const T& value) {
    std::vector<std::pair<std::uint32_t, Bytes>> outer;
    outer.swap(tags_);
    // visit() is one template for both directions, hence not const; this visitor only reads.
    const_cast<T&>(value).visit(*this);
    if (flexible_) {
      writer_.uvarint(static_cast<std::uint32_t>(tags_.size()));
      for (const auto& [tag, content] : tags_) {
        writer_.uvarint(tag);
        writer_.uvarint(static_cast<std::uint32_t>(content.size()));
        writer_.raw(content);
      }
    }
    tags_.swap(outer);
  }

  template <class T>
  void value(const T& member, Versions nullable) {
    if constexpr (IsOptional<T>::value) {
      if (member) return value(*member, nullable);
      if (nullable.has(version_)) return null(static_cast<typename T::value_type*>(nullptr));
      value(typename T::value_type{}, nullable);
    } else if constexpr (std::is_same_v<T, bool>) {
      writer_.boolean(member);
    } else if constexpr (std::is_enum_v<T>) {
      writer_.integer(std::to_underlying(member));
    } else if constexpr (std::is_integral_v<T>) {
      writer_.integer(member);
    } else if constexpr (std::is_same_v<T, double>) {
      writer_.float64(member);
    } else if constexpr (std::is_same_v<T, Uuid>) {
      writer_.uuid(member);
    } else if constexpr (std::is_same_v<T, std::string>) {
      writer_.string(member, style());
    } else if constexpr (std::is_same_v<T, Slice>) {
      writer_.bytes(member.view, style());
    } else if constexpr (IsVector<T>::value) {
      writer_.array_count(member.size(), style());
      for (const auto& element : member) value(element, kAllVersions);
    } else {
      structure(member);
    }
  }

  template <class T>
  void null(T*) {
    if constexpr (std::is_same_v<T, std::string>) {
      writer_.null_string(style());
    } else {
      writer_.null_array(style());
    }
  }

  Writer writer_;
  std::int16_t version_;
  bool flexible_;
  std::vector<std::pair<std::uint32_t, Bytes>> tags_;  // of the structure being written
};

class Decoder {
 public:
  Decoder(Slice bytes, std::int16_t version, bool flexible, const char* name)
      : reader_(std::move(bytes)), version_(version), flexible_(flexible) {
    path_[depth_++] = name;
  }

  template <class T>
  Status message(T& value) {
    structure(value);
    if constexpr (!requires { T::kTrailingBytes; }) {
      if (reader_.ok() && reader_.remaining() != 0) {
        blame("end");
        reader_.fail(fmt::format("{} bytes left over", reader_.remaining()));
      }
    }
    if (reader_.ok()) return {};
    return ordeal::fail(Errc::corrupt, fmt::format("{} version {} at byte {}: {}", failed_path_, version_,
                                                   reader_.failed_at(), reader_.failure()));
  }

  template <class T>
  void operator()(const char* name, T& member, Versions present = kAllVersions, Versions nullable = kAllVersions) {
    if (!present.has(version_) || !reader_.ok()) return;
    field(name, member, nullable);
  }

  template <class T>
  void tagged(std::uint32_t tag, const char* name, T& member, Versions present, const T& = T{}) {
    if (!flexible_ || !present.has(version_) || !reader_.ok()) return;
    // The plain fields are done: the tag section begins here, its tags ascending, as are our calls.
    open_tags();
    while (reader_.ok() && next_tag() && pending_->tag < tag) skip_tag();
    if (!reader_.ok() || !next_tag() || pending_->tag != tag) return;
    const std::size_t end = reader_.position() + pending_->size;
    field(name, member, kAllVersions);
    if (reader_.ok() && reader_.position() != end) {
      reader_.fail(fmt::format("tag {} claims {} bytes and takes another number", tag, pending_->size));
      blame(name);
    }
    pending_.reset();
  }

 private:
  struct Tag {
    std::uint32_t tag;
    std::uint32_t size;
  };

  Style style() const { return flexible_ ? Style::compact : Style::old; }

  void blame(const char* name) {
    if (!failed_path_.empty()) return;
    for (std::size_t i = 0; i < depth_; ++i) failed_path_ += std::string(path_[i]) + ".";
    failed_path_ += name;
  }

  template <class T>
  void field(const char* name, T& member, Versions nullable) {
    ORDEAL_CHECK(depth_ < path_.size(), "messages do not nest that deep");
    value(name, member, nullable);
    if (!reader_.ok()) blame(name);
  }

  template <class T>
  void structure(T& value) {
    const auto outer_left = std::exchange(tags_left_, std::nullopt);
    const auto outer_pending = std::exchange(pending_, std::nullopt);
    const auto outer_last = std::exchange(last_tag_, std::nullopt);
    value.visit(*this);
    if (flexible_ && reader_.ok()) {
      open_tags();
      while (reader_.ok() && next_tag()) skip_tag();
      if (!reader_.ok()) blame("tags");
    }
    tags_left_ = outer_left;
    pending_ = outer_pending;
    last_tag_ = outer_last;
  }

  void open_tags() {
    if (!tags_left_) tags_left_ = reader_.uvarint();
  }

  // Makes `pending_` the next tag of the section; false at its end.
  bool next_tag() {
    if (pending_) return true;
    if (!reader_.ok() || *tags_left_ == 0) return false;
    --*tags_left_;
    const std::uint32_t tag = reader_.uvarint();
    const std::uint32_t size = reader_.uvarint();
    if (reader_.ok() && size > reader_.remaining()) {
      reader_.fail(fmt::format("tag {} of {} bytes, {} left", tag, size, reader_.remaining()));
    }
    if (reader_.ok() && last_tag_ && tag <= *last_tag_) reader_.fail(fmt::format("tag {} out of order", tag));
    if (!reader_.ok()) {
      blame("tags");
      return false;
    }
    last_tag_ = tag;
    pending_ = Tag{tag, size};
    return true;
  }

  void skip_tag() {
    reader_.take(pending_->size);
    pending_.reset();
  }

  template <class T>
  void value(const char* name, T& member, Versions nullable) {
    if constexpr (IsOptional<T>::value) {
      optional(name, member, nullable);
    } else if constexpr (std::is_same_v<T, bool>) {
      member = reader_.boolean();
    } else if constexpr (std::is_enum_v<T>) {
      member = static_cast<T>(reader_.integer<std::underlying_type_t<T>>());
    } else if constexpr (std::is_integral_v<T>) {
      member = reader_.integer<T>();
    } else if constexpr (std::is_same_v<T, double>) {
      member = reader_.float64();
    } else if constexpr (std::is_same_v<T, Uuid>) {
      member = reader_.uuid();
    } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, Slice> || IsVector<T>::value) {
      std::optional<T> wrapped;
      optional(name, wrapped, Versions{1, 0});
      if (wrapped) member = std::move(*wrapped);
    } else {
      path_[depth_++] = name;
      structure(member);
      --depth_;
    }
  }

  template <class T>
  void optional(const char* name, std::optional<T>& member, Versions nullable) {
    member.reset();
    if constexpr (std::is_same_v<T, std::string>) {
      if (const auto text = reader_.string(style())) member.emplace(*text);
    } else if constexpr (std::is_same_v<T, Slice>) {
      member = reader_.bytes(style());
    } else {
      static_assert(IsVector<T>::value);
      if (const auto count = reader_.array_count(style())) elements(name, member.emplace(), *count);
    }
    if (reader_.ok() && !member && !nullable.has(version_)) reader_.fail("null is not allowed");
  }

  // Grows as elements prove to be there: the count alone buys no memory beyond a small reserve.
  template <class T>
  void elements(const char* name, std::vector<T>& out, std::size_t count) {
    out.reserve(std::min<std::size_t>(count, 64));
    for (std::size_t i = 0; i < count && reader_.ok(); ++i) {
      T element{};
      value(name, element, kAllVersions);
      out.push_back(std::move(element));
    }
  }

  Reader reader_;
  std::int16_t version_;
  bool flexible_;
  std::array<const char*, 8> path_{};
  std::size_t depth_ = 0;
  std::string failed_path_;
  std::optional<std::uint32_t> tags_left_;  // of the structure being read; nullopt: its tag section is not reached
  std::optional<Tag> pending_;
  std::optional<std::uint32_t> last_tag_;
};

// Header version 2 of requests and 1 of responses carry an (empty) tag section.
bool flexible_response_header(const ApiVersionRange& api, std::int16_t version);
void begin_request_frame(const RequestHeader& header, ApiKey key, Bytes& out);
void begin_response_frame(std::int32_t correlation_id, ApiKey key, std::int16_t version, Bytes& out);
void finish_frame(Bytes& out);  // fills in the size
struct ResponseHead {
  std::int32_t correlation_id;
  Slice body;
};
Result<ResponseHead> decode_response_header(const Slice& frame, ApiKey key, std::int16_t version);

template <class T>
Result<T> decode(const Slice& body, std::int16_t version) {
  const ApiVersionRange& api = api_of(T::kKey);
  if (!api.supported.has(version)) return fail(Errc::unsupported, fmt::format("{} version {}", T::kName, version));
  T message;
  Decoder decoder(body, version, api.flexible(version), T::kName);
  ORDEAL_TRY(decoder.message(message));
  return message;
}

template <class T>
void encode(const T& message, std::int16_t version, Bytes& out) {
  const ApiVersionRange& api = api_of(T::kKey);
  ORDEAL_CHECK(api.supported.has(version), "{} version {}", T::kName, version);
  Encoder(out, version, api.flexible(version)).message(message);
}

template <class Request>
Bytes encode_request(const RequestHeader& header, const Request& request) {
  Bytes out;
  begin_request_frame(header, Request::kKey, out);
  encode(request, header.api_version, out);
  finish_frame(out);
  return out;
}

template <class Response>
Bytes encode_response(std::int32_t correlation_id, std::int16_t version, const Response& response) {
  Bytes out;
  begin_response_frame(correlation_id, Response::kKey, version, out);
  encode(response, version, out);
  finish_frame(out);
  return out;
}

template <class Response>
Result<DecodedResponse<Response>> decode_response(const Slice& frame, std::int16_t version) {
  Result<ResponseHead> head = decode_response_header(frame, Response::kKey, version);
  if (!head) return fail(std::move(head).error());
  Result<Response> body = decode<Response>(head->body, version);
  if (!body) return fail(std::move(body).error());
  return DecodedResponse<Response>{head->correlation_id, std::move(*body)};
}

// One line a request/response pair in a messages_*.cpp.
#define ORDEAL_WIRE_MESSAGE(Request)                                                                       \
  template Result<Request> decode<Request>(const Slice&, std::int16_t);                                    \
  template void encode<Request>(const Request&, std::int16_t, Bytes&);                                     \
  template Bytes encode_request<Request>(const RequestHeader&, const Request&);                            \
  template Result<Request::Response> decode<Request::Response>(const Slice&, std::int16_t);                \
  template void encode<Request::Response>(const Request::Response&, std::int16_t, Bytes&);                 \
  template Bytes encode_response<Request::Response>(std::int32_t, std::int16_t, const Request::Response&); \
  template Result<DecodedResponse<Request::Response>> decode_response<Request::Response>(const Slice&, std::int16_t)

}  // namespace ordeal::wire

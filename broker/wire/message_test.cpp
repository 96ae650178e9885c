// Every message at every version: what is written is read back, nothing short or damaged is accepted or crashes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "broker/base/random.h"
#include "broker/wire/api.h"
#include "broker/wire/codec.h"
#include "broker/wire/messages/all.h"
#include "broker/wire/random_message.h"

using namespace ordeal;
using namespace ordeal::wire;

namespace {

Slice slice(Bytes bytes) { return Slice::own(std::move(bytes)); }

template <class T>
T random_message(Random& random, std::int16_t version) {
  T message;
  RandomFill fill(random, version, api_of(T::kKey).flexible(version));
  message.visit(fill);
  return message;
}

template <class T>
Bytes body_of(const T& message, std::int16_t version) {
  Bytes bytes;
  encode(message, version, bytes);
  return bytes;
}

template <class Fn>
void at_every_version(Fn&& fn) {
  for_each_request([&]<class Request>() {
    const ApiVersionRange& api = api_of(Request::kKey);
    for (std::int16_t version = api.supported.from; version <= api.supported.to; ++version) {
      fn.template operator()<Request>(version);
      fn.template operator()<typename Request::Response>(version);
    }
  });
}

}  // namespace

TEST_CASE("every message of every version reads back as it was written") {
  Random random(1);
  std::size_t messages = 0;
  at_every_version([&]<class T>(std::int16_t version) {
    for (int i = 0; i < 20; ++i, ++messages) {
      const T message = random_message<T>(random, version);
      const Bytes bytes = body_of(message, version);
      const Result<T> back = decode<T>(slice(bytes), version);
      REQUIRE_MESSAGE(back.has_value(), T::kName, " version ", version, ": ", back ? "" : back.error().text);
      REQUIRE_MESSAGE(body_of(*back, version) == bytes, T::kName, " version ", version);
    }
  });
  CHECK(messages > 2000);
}

TEST_CASE("no prefix of a message is a message, and a byte too many is an error") {
  Random random(2);
  at_every_version([&]<class T>(std::int16_t version) {
    Bytes bytes = body_of(random_message<T>(random, version), version);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      REQUIRE_FALSE_MESSAGE(decode<T>(slice(part), version).has_value(), T::kName, " version ", version, " cut to ",
                            size);
    }
    bytes.push_back(0);
    constexpr bool tolerant = requires { T::kTrailingBytes; };
    REQUIRE(decode<T>(slice(bytes), version).has_value() == tolerant);
  });
}

TEST_CASE("random and damaged bytes are errors or messages, never a crash") {
  Random random(3);
  at_every_version([&]<class T>(std::int16_t version) {
    for (int i = 0; i < 30; ++i) {
      Bytes noise(random.below(120));
      for (auto& byte : noise) byte = static_cast<std::uint8_t>(random.next());
      (void)decode<T>(slice(noise), version);
      Bytes bytes = body_of(random_message<T>(random, version), version);
      for (std::uint64_t flips = 1 + random.below(3); flips > 0 && !bytes.empty(); --flips) {
        bytes[random.below(bytes.size())] ^= static_cast<std::uint8_t>(1 << random.below(8));
      }
      const Result<T> back = decode<T>(slice(bytes), version);
      if (back) (void)body_of(*back, version);  // what was accepted can be written
    }
  });
}

TEST_CASE("an error names message, field, version and byte") {
  FetchRequest request;
  request.topics.resize(1);
  request.topics[0].topic = "abc";
  request.topics[0].partitions.resize(1);
  Bytes bytes = body_of(request, 4);
  // replica, wait, min, max: 16 bytes; isolation 1; topics 4; "abc" 5; partitions 4; partition 4; offset 8; max 4
  REQUIRE(bytes.size() == 46);
  bytes.resize(40);
  const Result<FetchRequest> back = decode<FetchRequest>(slice(bytes), 4);
  REQUIRE_FALSE(back.has_value());
  CHECK(back.error().text == "FetchRequest.topics.partitions.fetch_offset version 4 at byte 34: needs 8 bytes, 6 left");
  CHECK(decode<FetchRequest>(slice(bytes), 3).error().code == Errc::unsupported);
  CHECK(decode<FetchRequest>(slice(bytes), 19).error().code == Errc::unsupported);
}

TEST_CASE("a null where none may be is an error") {
  // CreateTopics v2: one topic whose name is null.
  const Bytes bytes = {0, 0, 0, 1, 0xff, 0xff};
  const Result<CreateTopicsRequest> back = decode<CreateTopicsRequest>(slice(bytes), 2);
  REQUIRE_FALSE(back.has_value());
  CHECK(back.error().text == "CreateTopicsRequest.topics.name version 2 at byte 6: null is not allowed");
}

TEST_CASE("unknown tags are skipped, known ones may be absent, wrong order or size is an error") {
  FetchRequest request;
  const Bytes plain = body_of(request, 15);
  REQUIRE(plain.back() == 0);  // no tags: cluster_id null, replica_state default
  const auto with_tags = [&](const Bytes& tags) {
    Bytes bytes(plain.begin(), plain.end() - 1);
    bytes.insert(bytes.end(), tags.begin(), tags.end());
    return decode<FetchRequest>(slice(bytes), 15);
  };
  // tag 1, 13 bytes: replica id 5, epoch 7, no tags of its own; tag 9, 2 bytes
  const Result<FetchRequest> known = with_tags({2, 1, 13, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 9, 2, 0xaa, 0xbb});
  REQUIRE(known.has_value());
  CHECK(known->replica_state.replica_id == 5);
  CHECK(known->replica_state.replica_epoch == 7);
  CHECK(known->replica().replica_id == 5);
  CHECK(with_tags({2, 9, 1, 0, 12, 1, 0}).has_value());
  CHECK_FALSE(with_tags({2, 9, 1, 0, 9, 1, 0}).has_value());                                 // twice
  CHECK_FALSE(with_tags({1, 9, 2, 0}).has_value());                                          // longer than what is left
  CHECK_FALSE(with_tags({1, 1, 14, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0}).has_value());  // size of another thing
}

TEST_CASE("golden bytes: requests and responses by the specification") {
  SUBCASE("ApiVersions v0 request frame") {
    RequestHeader header;
    header.api_version = 0;
    header.correlation_id = 7;
    header.client_id = "me";
    const Bytes expected = {0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 7, 0, 2, 'm', 'e'};
    CHECK(encode_request(header, ApiVersionsRequest{}) == expected);
  }
  SUBCASE("ApiVersions v3 request frame: flexible header, old-style client id") {
    RequestHeader header;
    header.api_version = 3;
    header.correlation_id = 1;
    ApiVersionsRequest request;
    request.client_software_name = "ab";
    request.client_software_version = "1";
    const Bytes expected = {0, 0, 0, 17, 0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0, 3, 'a', 'b', 2, '1', 0};
    CHECK(encode_request(header, request) == expected);
  }
  SUBCASE("ApiVersions v3 response keeps header version 0") {
    ApiVersionsResponse response;
    response.api_keys.push_back({18, 0, 4});
    const Bytes frame = encode_response(9, 3, response);
    CHECK(frame == Bytes{0, 0, 0, 19, 0, 0, 0, 9, 0, 0, 2, 0, 18, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0});
    CHECK(encode_response(9, 0, response) == Bytes{0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4});
  }
  SUBCASE("Metadata: all topics is an empty list in version 0 and null from 1 on") {
    MetadataRequest all;
    CHECK(body_of(all, 0) == Bytes{0, 0, 0, 0});
    CHECK(body_of(all, 1) == Bytes{0xff, 0xff, 0xff, 0xff});
    CHECK(body_of(all, 9) == Bytes{0, 1, 0, 0, 0});
    MetadataRequest one;
    one.topics.emplace().push_back({{}, "t"});
    CHECK(body_of(one, 4) == Bytes{0, 0, 0, 1, 0, 1, 't', 1});
    CHECK(body_of(one, 12) == Bytes{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 't', 0, 1, 0, 0});
  }
  SUBCASE("Produce v3 and v9") {
    ProduceRequest request;
    request.acks = -1;
    request.timeout_ms = 256;
    request.topic_data.resize(1);
    request.topic_data[0].name = "t";
    request.topic_data[0].partition_data.resize(1);
    request.topic_data[0].partition_data[0].index = 3;
    request.topic_data[0].partition_data[0].records = Slice::own({0xca, 0xfe});
    CHECK(body_of(request, 3) == Bytes{0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0, 0, 0, 0, 1, 0,    1,   't',
                                       0,    0,    0,    1,    0, 0, 0, 3, 0, 0, 0, 2, 0xca, 0xfe});
    CHECK(body_of(request, 9) == Bytes{0, 0xff, 0xff, 0, 0, 1, 0, 2, 2, 't', 2, 0, 0, 0, 3, 3, 0xca, 0xfe, 0, 0, 0});
  }
  SUBCASE("ListOffsets v1 response") {
    ListOffsetsResponse response;
    response.topics.push_back({"t", {{0, ErrorCode::offset_not_available, 5, 6, 9}}});
    CHECK(body_of(response, 1) ==
          Bytes{0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 78, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6});
  }
  SUBCASE("Fetch v12 response: diverging epoch and leader are tags") {
    FetchResponse response;
    response.responses.resize(1);
    response.responses[0].topic = "t";
    FetchResponse::PartitionData partition;
    partition.diverging_epoch = {2, 3};
    partition.current_leader = {1, 4};
    response.responses[0].partitions.push_back(partition);
    CHECK(body_of(response, 12) ==
          Bytes{0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    2,    2,    't',  2,    0,    0,
                0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff,
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,    0xff, 0xff, 0xff,
                0xff, 0,    2,    0,    13,   0,    0,    0,    2,    0,    0,    0,    0,    0,    0,    0,
                3,    0,    1,    9,    0,    0,    0,    1,    0,    0,    0,    4,    0,    0,    0});
  }
}

TEST_CASE("request headers: unknown keys and versions are told apart from damage") {
  RequestHeader header;
  header.api_version = 12;
  header.correlation_id = 77;
  header.client_id = "client";
  const Bytes frame = encode_request(header, FetchRequest{});
  const Slice content = slice(Bytes(frame.begin() + 4, frame.end()));
  const Result<DecodedHeader> decoded = decode_request_header(content);
  REQUIRE(decoded.has_value());
  CHECK(decoded->supported);
  CHECK(decoded->api->name == "Fetch");
  CHECK(decoded->header.client_id == "client");
  CHECK(decoded->header.correlation_id == 77);
  CHECK(decode<FetchRequest>(decoded->body, 12).has_value());

  Bytes other(content.view.begin(), content.view.end());
  store_be<std::int16_t>(other.data() + 2, 99);
  const Result<DecodedHeader> newer = decode_request_header(slice(other));
  REQUIRE(newer.has_value());
  CHECK(newer->api != nullptr);
  CHECK_FALSE(newer->supported);
  store_be<std::int16_t>(other.data(), 999);
  const Result<DecodedHeader> unknown = decode_request_header(slice(other));
  REQUIRE(unknown.has_value());
  CHECK(unknown->api == nullptr);
  CHECK_FALSE(decode_request_header(slice({0, 1, 0, 12, 0, 0})).has_value());
  CHECK_FALSE(decode_request_header(slice({0, 1, 0, 12, 0, 0, 0, 1, 0, 9, 'x'})).has_value());
}

TEST_CASE("responses carry their correlation id through every header version") {
  Random random(4);
  for_each_request([&]<class Request>() {
    using Response = typename Request::Response;
    const ApiVersionRange& api = api_of(Request::kKey);
    for (std::int16_t version = api.supported.from; version <= api.supported.to; ++version) {
      const Response response = random_message<Response>(random, version);
      const Bytes frame = encode_response(version * 1000, version, response);
      CHECK(load_be<std::int32_t>(frame.data()) == static_cast<std::int32_t>(frame.size()) - 4);
      const Slice content = slice(Bytes(frame.begin() + 4, frame.end()));
      CHECK(peek_correlation_id(content.view) == version * 1000);
      const Result<DecodedResponse<Response>> back = decode_response<Response>(content, version);
      REQUIRE(back.has_value());
      CHECK(back->correlation_id == version * 1000);
      CHECK(body_of(back->body, version) == body_of(response, version));
    }
  });
}

TEST_CASE("the table of APIs is sorted, and its gates stand") {
  const auto apis = all_apis();
  for (std::size_t i = 1; i < apis.size(); ++i) CHECK(apis[i - 1].key < apis[i].key);
  for (const ApiVersionRange& api : apis) {
    CHECK(api.advertised.to <= api.supported.to);
    CHECK(api.supported.from <= api.supported.to);
  }
  // Old librdkafka compresses only if it sees Produce 0, and wants FindCoordinator 0 for lz4.
  CHECK(api_of(ApiKey::produce).advertised.from == 0);
  CHECK(api_of(ApiKey::produce).supported.from == 3);
  CHECK(api_of(ApiKey::find_coordinator).advertised.from == 0);
  CHECK(api_of(ApiKey::init_producer_id).advertised.from == 0);
  CHECK(api_of(ApiKey::api_versions).advertised.from == 0);
  CHECK(find_api(4) == nullptr);
}

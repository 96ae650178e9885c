#include <doctest/doctest.h>

#include "broker/base/bytes.h"
#include "broker/base/random.h"
#include "broker/base/types.h"

using namespace ordeal;

TEST_CASE("crc32c matches the published check value and continues over a split") {
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283U);
  CHECK(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))) == 0xe3069283U);
}

TEST_CASE("a uuid survives its text form, and bad text is refused") {
  Uuid id;
  for (std::size_t i = 0; i < 16; ++i) id.bytes[i] = static_cast<std::uint8_t>(i * 17 + 3);
  Uuid back;
  REQUIRE(Uuid::parse(id.to_string(), back));
  CHECK(id.to_string().size() == 22);
  CHECK(back == id);
  CHECK_FALSE(Uuid::parse("short", back));
  CHECK_FALSE(Uuid::parse("!!!!!!!!!!!!!!!!!!!!!!", back));
}

TEST_CASE("big-endian load and store are inverse at every width") {
  std::uint8_t buffer[8];
  store_be<std::int16_t>(buffer, -2);
  CHECK(buffer[0] == 0xFF);
  CHECK(load_be<std::int16_t>(buffer) == -2);
  store_be<std::int64_t>(buffer, 0x0102030405060708);
  CHECK(buffer[0] == 1);
  CHECK(load_be<std::int64_t>(buffer) == 0x0102030405060708);
}

TEST_CASE("forked streams depend on seed and name, not on earlier draws") {
  Random one(7);
  Random two(7);
  two.next();
  CHECK(one.fork("net").next() == two.fork("net").next());
  CHECK(one.fork("net").next() != one.fork("disk").next());
  CHECK(Random(7).next() != Random(8).next());
}

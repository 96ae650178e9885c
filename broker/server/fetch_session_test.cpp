#include "broker/server/fetch_session.h"

#include <doctest/doctest.h>

#include "broker/base/random.h"
#include "broker/replica/fetcher_session.h"

using namespace ordeal;
using namespace ordeal::server;
using wire::ErrorCode;
using Answer = wire::FetchResponse::PartitionData;
using Part = wire::FetchRequest::FetchPartition;

namespace {

constexpr std::int16_t kByName = 12;
constexpr std::int16_t kById = 16;
const Instant kNow{1000s};

wire::FetchRequest ask(std::int32_t session, std::int32_t epoch, std::vector<PartitionId> partitions,
                       std::vector<PartitionId> forgotten = {}) {
  wire::FetchRequest request;
  request.session_id = session;
  request.session_epoch = epoch;
  if (!partitions.empty()) {
    request.topics.resize(1);
    request.topics[0].topic = "t";
    for (const PartitionId id : partitions) {
      Part part;
      part.partition = id;
      request.topics[0].partitions.push_back(part);
    }
  }
  if (!forgotten.empty()) request.forgotten_topics_data.push_back({"t", {}, forgotten});
  return request;
}

std::vector<Answer> answers_to(const FetchSessions::Plan& plan, Offset high_watermark = 5) {
  std::vector<Answer> answers;
  for (const auto& wanted : plan.partitions) {
    Answer answer;
    answer.partition_index = wanted.part.partition;
    answer.high_watermark = high_watermark;
    answer.log_start_offset = 0;
    answers.push_back(answer);
  }
  return answers;
}

std::vector<PartitionId> named(const FetchSessions::Plan& plan) {
  std::vector<PartitionId> ids;
  for (const auto& wanted : plan.partitions) ids.push_back(wanted.part.partition);
  return ids;
}

std::vector<PartitionId> named(const wire::FetchResponse& response) {
  std::vector<PartitionId> ids;
  for (const auto& topic : response.responses) {
    for (const auto& answer : topic.partitions) ids.push_back(answer.partition_index);
  }
  return ids;
}

std::int32_t open(FetchSessions& sessions, std::vector<PartitionId> partitions, Instant now = kNow,
                  std::uint64_t drawn = 41, bool privileged = false) {
  const auto plan = sessions.begin(ask(0, 0, std::move(partitions)), kByName, privileged, now);
  const auto response = sessions.finish(plan, answers_to(plan), now, drawn);
  CHECK(named(response) == named(plan));
  return response.session_id;
}

using Ids = std::vector<PartitionId>;

}  // namespace

TEST_CASE("A session remembers its partitions and answers only what is new") {
  FetchSessions sessions({});
  const std::int32_t id = open(sessions, {0, 1, 2});
  CHECK(id == 42);
  auto plan = sessions.begin(ask(id, 1, {}), kByName, false, kNow);
  CHECK(plan.incremental);
  CHECK(named(plan) == Ids{0, 1, 2});
  auto answers = answers_to(plan);
  answers[1].high_watermark = 6;
  auto response = sessions.finish(plan, answers, kNow, 0);
  CHECK(response.session_id == id);
  CHECK(named(response) == Ids{1});

  plan = sessions.begin(ask(id, 2, {}), kByName, false, kNow);
  answers = answers_to(plan);
  answers[1].high_watermark = 6;
  answers[2].log_start_offset = 3;
  CHECK(named(sessions.finish(plan, answers, kNow, 0)) == Ids{2});
}

TEST_CASE("Records, errors and divergence are news; after an error the partition is told again") {
  FetchSessions sessions({});
  const std::int32_t id = open(sessions, {0, 1, 2});
  auto plan = sessions.begin(ask(id, 1, {}), kByName, false, kNow);
  auto answers = answers_to(plan);
  answers[0].records = Slice::own({1});
  answers[1].error_code = ErrorCode::not_leader_or_follower;
  answers[2].diverging_epoch = {3, 4};
  CHECK(named(sessions.finish(plan, answers, kNow, 0)) == Ids{0, 1, 2});
  plan = sessions.begin(ask(id, 2, {}), kByName, false, kNow);
  CHECK(named(plan) == Ids{1, 2, 0});  // who got records comes last
  CHECK(named(sessions.finish(plan, answers_to(plan), kNow, 0)) == Ids{1});
  plan = sessions.begin(ask(id, 3, {}), kByName, false, kNow);
  CHECK(named(sessions.finish(plan, answers_to(plan), kNow, 0)).empty());
}

TEST_CASE("Partitions are added, changed and forgotten; the epochs the session holds go with every fetch") {
  FetchSessions sessions({});
  const std::int32_t id = open(sessions, {0, 1});
  auto request = ask(id, 1, {1, 3}, {0, 9});
  request.topics[0].partitions[0].current_leader_epoch = 7;
  auto plan = sessions.begin(request, kByName, false, kNow);
  CHECK(named(plan) == Ids{1, 3});
  CHECK(named(sessions.finish(plan, answers_to(plan), kNow, 0)) == Ids{3});
  plan = sessions.begin(ask(id, 2, {}), kByName, false, kNow);
  CHECK(plan.partitions[0].part.current_leader_epoch == 7);
  sessions.finish(plan, answers_to(plan), kNow, 0);
  plan = sessions.begin(ask(id, 3, {}, {1, 3}), kByName, false, kNow);
  CHECK(plan.error == ErrorCode::none);
  CHECK(plan.partitions.empty());
  CHECK(sessions.finish(plan, {}, kNow, 0).session_id == 0);
  CHECK(sessions.size() == 0);
}

TEST_CASE("Requests out of turn are refused, and the session goes on") {
  FetchSessions sessions({});
  const std::int32_t id = open(sessions, {0});
  CHECK(sessions.begin(ask(id, 2, {}), kByName, false, kNow).error == ErrorCode::invalid_fetch_session_epoch);
  CHECK(sessions.begin(ask(id + 1, 1, {}), kByName, false, kNow).error == ErrorCode::fetch_session_id_not_found);
  CHECK(sessions.begin(ask(0, 1, {}), kByName, false, kNow).error == ErrorCode::fetch_session_id_not_found);
  CHECK(sessions.begin(ask(id, 1, {}), kById, false, kNow).error == ErrorCode::fetch_session_topic_id_error);
  CHECK(sessions.begin(ask(id, 1, {}), kByName, true, kNow).error == ErrorCode::fetch_session_id_not_found);
  const auto slow = sessions.begin(ask(id, 1, {}), kByName, false, kNow);
  CHECK(sessions.begin(ask(id, 1, {}), kByName, false, kNow).error == ErrorCode::invalid_fetch_session_epoch);
  const auto next = sessions.begin(ask(id, 2, {}), kByName, false, kNow);
  CHECK(sessions.finish(slow, answers_to(slow), kNow, 0).error_code == ErrorCode::invalid_fetch_session_epoch);
  CHECK(sessions.finish(next, answers_to(next), kNow, 0).error_code == ErrorCode::none);
  const auto last = sessions.begin(ask(id, 3, {}), kByName, false, kNow);
  sessions.drop(id);
  CHECK(sessions.finish(last, answers_to(last), kNow, 0).error_code == ErrorCode::fetch_session_id_not_found);
}

TEST_CASE("A full fetch closes the session it names, and opens one only if it is to go on") {
  FetchSessions sessions({});
  const std::int32_t first = open(sessions, {0});
  auto plan = sessions.begin(ask(first, 0, {0}), kByName, false, kNow);
  CHECK(sessions.size() == 0);
  const std::int32_t second = sessions.finish(plan, answers_to(plan), kNow, 41).session_id;
  CHECK(second == 42);
  plan = sessions.begin(ask(second, -1, {0}), kByName, false, kNow);
  const auto response = sessions.finish(plan, answers_to(plan), kNow, 41);
  CHECK(response.session_id == 0);
  CHECK(named(response) == Ids{0});
  CHECK(sessions.size() == 0);
  // A taken id is not given twice, and a request of before sessions opens none.
  CHECK(open(sessions, {0}, kNow, 7) != open(sessions, {0}, kNow, 7));
  const auto old = sessions.begin(ask(0, 0, {0}), 6, false, kNow);
  CHECK(sessions.finish(old, answers_to(old), kNow, 3).session_id == 0);
}

TEST_CASE("A full cache makes room by the rules of KIP-227") {
  SUBCASE("for nobody while all sessions are young") {
    FetchSessions sessions({.slots = 1});
    CHECK(open(sessions, {0}) != 0);
    CHECK(open(sessions, {0, 1, 2}) == 0);
  }
  SUBCASE("for a follower at a consumer's cost, never the other way round") {
    FetchSessions sessions({.slots = 1});
    CHECK(open(sessions, {0, 1, 2}) != 0);
    CHECK(open(sessions, {0}, kNow, 9, true) == 10);
    CHECK(open(sessions, {0}, kNow, 11, true) == 0);
    auto plan = sessions.begin(ask(10, 1, {}), kByName, true, kNow + 100s);
    sessions.finish(plan, answers_to(plan), kNow + 100s, 0);
    CHECK(open(sessions, {0, 1, 2}, kNow + 150s) == 0);  // old, smaller, but a follower's and not idle
  }
  SUBCASE("at the cost of an old, smaller one that is in use") {
    FetchSessions sessions({.slots = 1});
    const std::int32_t id = open(sessions, {0, 1});
    auto plan = sessions.begin(ask(id, 1, {}), kByName, false, kNow + 100s);
    sessions.finish(plan, answers_to(plan), kNow + 100s, 0);
    CHECK(open(sessions, {0, 1}, kNow + 130s) == 0);
    CHECK(open(sessions, {0, 1, 2}, kNow + 130s) != 0);
  }
  SUBCASE("at the cost of any that is idle") {
    FetchSessions sessions({.slots = 2});
    open(sessions, {0, 1, 2}, kNow, 1, true);
    const std::int32_t busy = open(sessions, {0, 1, 2}, kNow + 100s, 2);
    CHECK(open(sessions, {0}, kNow + 121s, 3) != 0);
    CHECK(sessions.size() == 2);
    CHECK(sessions.begin(ask(busy, 1, {}), kByName, false, kNow + 121s).error == ErrorCode::none);
  }
  SUBCASE("not at all when there are no slots") {
    FetchSessions sessions({.slots = 0});
    CHECK(open(sessions, {0}) == 0);
  }
}

TEST_CASE("Whatever is lost, refused or forgotten, a follower's view ends where the leader's is") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    FetchSessions sessions({.slots = 2});
    replica::FetcherSession follower;
    std::map<PartitionId, Offset> truth;  // high watermarks
    std::map<PartitionId, Offset> view;
    std::map<PartitionId, Offset> asked_from;
    for (int round = 0; round < 200; ++round) {
      const bool last = round >= 197;
      for (PartitionId id = 0; id < 5; ++id) {
        if (!last && random.chance(1, 3)) ++truth[id];
        if (random.chance(1, 4)) ++asked_from[id];
      }
      std::vector<replica::FetcherSession::Wanted> wanted;
      for (PartitionId id = 0; id < 5; ++id) {
        if (!last && random.chance(1, 5)) continue;
        replica::FetcherSession::Wanted one;
        one.topic = "t";
        one.topic_id.bytes.fill(1);
        one.part.partition = id;
        one.part.fetch_offset = asked_from[id];
        wanted.push_back(one);
      }
      wire::FetchRequest request;
      const auto meant = wanted;
      follower.fill(request, std::move(wanted));
      if (!last && random.chance(1, 20)) {
        follower.on_failure();
        continue;
      }
      const auto plan = sessions.begin(request, kById, true, kNow);
      wire::FetchResponse response;
      response.error_code = plan.error;
      if (plan.error == ErrorCode::none) {
        REQUIRE(plan.partitions.size() == meant.size());
        std::vector<Answer> answers;
        for (const auto& each : plan.partitions) {
          CHECK(each.part.fetch_offset == asked_from[each.part.partition]);
          Answer answer;
          answer.partition_index = each.part.partition;
          answer.high_watermark = truth[each.part.partition];
          if (!last && random.chance(1, 10)) answer.error_code = ErrorCode::not_leader_or_follower;
          answers.push_back(answer);
        }
        response = sessions.finish(plan, answers, kNow, random.next());
      }
      if (!last && random.chance(1, 20)) {
        follower.on_failure();
        continue;
      }
      if (!last && random.chance(1, 20)) sessions.drop(follower.id());
      if (!follower.on_answer(response)) continue;
      for (const auto& topic : response.responses) {
        for (const auto& answer : topic.partitions) {
          if (answer.error_code == ErrorCode::none) view[answer.partition_index] = answer.high_watermark;
        }
      }
    }
    CHECK(view == truth);
  }
}

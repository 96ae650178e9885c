#include "broker/replica/fetcher_session.h"

#include <limits>
#include <tuple>

#include "broker/base/mark.h"

namespace ordeal::replica {
namespace {

using wire::ErrorCode;

auto said(const wire::FetchRequest::FetchPartition& part) {
  return std::tuple(part.current_leader_epoch, part.fetch_offset, part.last_fetched_epoch, part.log_start_offset,
                    part.partition_max_bytes);
}

}  // namespace

void FetcherSession::fill(wire::FetchRequest& request, std::vector<Wanted> wanted) {
  const bool full = epoch_ == 0;
  request.session_id = id_;
  request.session_epoch = epoch_;
  sending_.clear();
  for (Wanted& one : wanted) {
    const Key key{one.topic_id, one.part.partition};
    const auto before = known_.find(key);
    const bool same = !full && before != known_.end() && said(before->second.part) == said(one.part);
    if (!same) {
      auto& topics = request.topics;
      if (topics.empty() || topics.back().topic_id != one.topic_id) {
        topics.emplace_back();
        topics.back().topic = one.topic;
        topics.back().topic_id = one.topic_id;
      }
      topics.back().partitions.push_back(one.part);
    }
    sending_.insert_or_assign(key, std::move(one));
  }
  if (full) return;
  for (const auto& [key, old] : known_) {
    if (sending_.contains(key)) continue;
    auto& topics = request.forgotten_topics_data;
    if (topics.empty() || topics.back().topic_id != old.topic_id) {
      topics.emplace_back();
      topics.back().topic = old.topic;
      topics.back().topic_id = old.topic_id;
    }
    topics.back().partitions.push_back(old.part.partition);
  }
}

bool FetcherSession::on_answer(const wire::FetchResponse& response) {
  if (response.error_code != ErrorCode::none) {
    if (response.error_code == ErrorCode::fetch_session_id_not_found) id_ = 0;
    restart();
    const bool refused = response.error_code == ErrorCode::fetch_session_id_not_found ||
                         response.error_code == ErrorCode::invalid_fetch_session_epoch ||
                         response.error_code == ErrorCode::fetch_session_topic_id_error;
    if (refused) ORDEAL_MARK("fetcher.session_refused");
    return !refused;
  }
  if (response.session_id == 0) {  // none was opened, or this one has ended
    id_ = 0;
    restart();
    return true;
  }
  id_ = response.session_id;
  epoch_ = epoch_ == std::numeric_limits<std::int32_t>::max() ? 1 : epoch_ + 1;
  known_ = std::move(sending_);
  sending_.clear();
  return true;
}

}  // namespace ordeal::replica

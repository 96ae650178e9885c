#include "broker/replica/topic_config.h"

#include <charconv>
#include <string_view>

namespace ordeal::replica {
namespace {

template <class Int>
void take_number(const meta::TopicImage& topic, std::string_view key, Int& into) {
  const std::string* text = topic.config(key);
  if (text == nullptr) return;
  Int number{};
  const char* end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, number);
  if (error == std::errc{} && at == end) into = number;
}

void take_flag(const meta::TopicImage& topic, std::string_view key, bool& into) {
  const std::string* text = topic.config(key);
  if (text == nullptr) return;
  if (*text == "true") into = true;
  if (*text == "false") into = false;
}

}  // namespace

TopicSettings settings_of(const meta::TopicImage& topic, const TopicSettings& defaults) {
  TopicSettings out = defaults;
  log::LogConfig& log = out.log;
  take_number(topic, "segment.bytes", log.segment_bytes);
  take_number(topic, "segment.ms", log.segment_ms);
  take_number(topic, "index.interval.bytes", log.index_interval_bytes);
  take_number(topic, "segment.index.bytes", log.segment_index_bytes);
  take_number(topic, "retention.ms", log.retention_ms);
  take_number(topic, "retention.bytes", log.retention_bytes);
  take_number(topic, "max.message.bytes", log.max_message_bytes);
  take_number(topic, "message.timestamp.before.max.ms", log.timestamp_before_max_ms);
  take_number(topic, "message.timestamp.after.max.ms", log.timestamp_after_max_ms);
  take_number(topic, "min.insync.replicas", out.min_isr);
  take_flag(topic, "preallocate", log.preallocate);
  if (const std::string* type = topic.config("message.timestamp.type")) log.log_append_time = *type == "LogAppendTime";
  if (const std::string* policy = topic.config("cleanup.policy")) {
    log.delete_old = policy->find("delete") != std::string::npos;
    log.compacted = policy->find("compact") != std::string::npos;
  }
  if (const std::string* type = topic.config("compression.type")) {
    if (*type == "producer") log.compression.reset();
    if (*type == "uncompressed") log.compression = wire::Codec::none;
    if (const auto codec = wire::find_codec(*type)) log.compression = *codec;
  }
  return out;
}

}  // namespace ordeal::replica

#include "workloads/log/record_delivery.h"

#include "workloads/client/outcome.h"

namespace ordeal::workload {
namespace {

const char* persistence_name(client::Persistence persistence) {
  switch (persistence) {
    case client::Persistence::not_persisted:
      return "not_persisted";
    case client::Persistence::possibly_persisted:
      return "possibly_persisted";
    case client::Persistence::persisted:
      return "persisted";
  }
  return "possibly_persisted";
}

history::ErrorDetail detail(const std::string& error, const std::string& text, client::Persistence persistence) {
  history::ErrorDetail why;
  why.class_name = error;
  why.text = text;
  why.message_status = persistence_name(persistence);
  return why;
}

}  // namespace

bool record_delivery(history::Recorder& recorder, Progress& progress, Instant now, std::uint16_t process,
                     const client::Delivery& delivery) {
  const std::uint64_t value = delivery.tag & history::kNoValue;
  const auto object = static_cast<std::uint16_t>(delivery.tag >> history::kValueBits);
  const history::Type type = client::classify_send(delivery.error, delivery.persistence);
  if (type == history::Type::ok) {
    recorder.send_ok(now, process, object, value, delivery.offset, delivery.leader_epoch);
    progress.ok.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  const history::ErrorDetail why = detail(delivery.error, delivery.error_text, delivery.persistence);
  if (type == history::Type::fail) {
    recorder.send_fail(now, process, object, value, why);
    progress.fail.fetch_add(1, std::memory_order_relaxed);
  } else {
    recorder.send_info(now, process, object, value, why);
    progress.info.fetch_add(1, std::memory_order_relaxed);
  }
  return false;
}

void record_refusal(history::Recorder& recorder, Progress& progress, Instant now, std::uint16_t process,
                    std::uint16_t object, std::uint64_t value, const std::string& error, const std::string& text) {
  recorder.send_fail(now, process, object, value, detail(error, text, client::Persistence::not_persisted));
  progress.fail.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace ordeal::workload

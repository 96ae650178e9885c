// From a topic's configs in the image to the settings its log and its decider run with.
#pragma once

#include <cstdint>
#include <string>

#include "broker/log/log_config.h"
#include "broker/meta/image.h"

namespace ordeal::replica {

struct TopicSettings {
  log::LogConfig log;
  std::int32_t min_isr = 1;
};

// What the topic does not override, or overrides with something that does not parse (the controller refuses such
// values, so this is an older controller's leftover), stays as in `defaults`.
TopicSettings settings_of(const meta::TopicImage& topic, const TopicSettings& defaults);

}  // namespace ordeal::replica

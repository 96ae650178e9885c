// Everything that a message log needs to put messages into words: one a world, and only where messages are recorded.
#pragma once

#include "faults/sim/messages/control_words.h"
#include "faults/sim/messages/kafka_words.h"

namespace ordeal::sim {

struct Words {
  TopicNames names;
  KafkaWords kafka{names};
  ControlWords control{names};
};

}  // namespace ordeal::sim

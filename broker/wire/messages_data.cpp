// Instantiates the coding of the data path's messages.
#include "broker/wire/message_codec.h"
#include "broker/wire/messages/fetch.h"
#include "broker/wire/messages/offsets.h"
#include "broker/wire/messages/produce.h"
#include "broker/wire/messages/producer_id.h"

namespace ordeal::wire {
ORDEAL_WIRE_MESSAGE(ProduceRequest);
ORDEAL_WIRE_MESSAGE(FetchRequest);
ORDEAL_WIRE_MESSAGE(ListOffsetsRequest);
ORDEAL_WIRE_MESSAGE(OffsetForLeaderEpochRequest);
ORDEAL_WIRE_MESSAGE(InitProducerIdRequest);
}  // namespace ordeal::wire

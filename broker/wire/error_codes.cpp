// The lookups over the table of error_codes.h.
#include "broker/wire/error_codes.h"

namespace ordeal::wire {

std::string_view error_name(ErrorCode code) {
  switch (code) {
#define ORDEAL_CASE(enumerator, name, number, retriable) \
  case ErrorCode::enumerator:                            \
    return name;
    ORDEAL_KAFKA_ERRORS(ORDEAL_CASE)
#undef ORDEAL_CASE
  }
  return "UNKNOWN_ERROR_CODE";
}

bool is_retriable(ErrorCode code) {
  switch (code) {
#define ORDEAL_CASE(enumerator, name, number, retriable) \
  case ErrorCode::enumerator:                            \
    return retriable;
    ORDEAL_KAFKA_ERRORS(ORDEAL_CASE)
#undef ORDEAL_CASE
  }
  return false;
}

}  // namespace ordeal::wire

#pragma once

#include "worker/meter/meter_record.h"

namespace tidegate::worker {

/// An entry like no other of another `number`.
inline MeterEntry entry_of(std::uint8_t number) {
  MeterEntry entry;
  entry.request.uuid.bytes[15] = number;
  entry.finish = FinishReason::kLength;
  entry.usage = {.prompt_tokens = 100 + number, .cached_tokens = 7, .completion_tokens = 20 + number, .reasoning_tokens = 3,
                 .drafted_tokens = 9, .accepted_tokens = 8, .device_us = 5'000'000'000};
  return entry;
}

}  // namespace tidegate::worker

#pragma once

#include <cstdint>
#include <pqxx/transaction>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/core/ids.h"
#include "base/core/result.h"

/// The second opinion on usage: what workers themselves recorded. Everything runs in the caller's transaction.
namespace tidegate::billing {

struct WorkerRecord {
  RequestId request;
  Wall finished;
  std::string finish;  ///< stop | length | cancelled | error
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t reasoning_tokens = 0;
  std::int64_t drafted_tokens = 0;   ///< guessed and checked; this and the next two are nobody's bill
  std::int64_t accepted_tokens = 0;  ///< of them: were right, and are among completion_tokens
  std::int64_t device_us = 0;        ///< compute
};

struct WorkerRecordBatch {
  std::string worker_id;
  std::int64_t first = 1;  ///< number of the first record
  std::vector<WorkerRecord> records;
  Wall covered_until;  ///< everything this life finished before was told with this batch
  bool is_ended = false;
};

inline constexpr std::size_t kWorkerRecordsMax = 500;

/// Stores what is new of the batch and answers how far this life has been told. Records older than `keep` before `now` are
/// forgotten, a few at a time.
/// Fails: failed_precondition/sequence_gap, invalid_argument/bad_record (Error::field is "records[<index>].<member>").
Result<std::int64_t> apply_worker_records(pqxx::work& tx, const WorkerRecordBatch& batch, Wall now,
                                          std::chrono::hours keep);

}  // namespace tidegate::billing

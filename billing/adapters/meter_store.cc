#include "billing/adapters/meter_store.h"

#include <fmt/format.h>

#include "base/pg/binary_array.h"
#include "base/pg/statement.h"
#include "base/pg/types.h"

namespace tidegate::billing {

namespace {

constexpr pg::Statement kLockLife{"meter_lock_life", R"sql(
  INSERT INTO worker_lives AS l (worker_id, seen_at) VALUES ($1, $2::timestamptz)
  ON CONFLICT (worker_id) DO UPDATE SET seen_at = EXCLUDED.seen_at RETURNING l.applied_through)sql"};
constexpr pg::Statement kInsertRecords{"meter_insert_records", R"sql(
  INSERT INTO worker_records (worker_id, number, request_id, finished_at, finish, prompt, cached, completion, reasoning,
                              drafted, accepted, device_us)
  SELECT $1, r.* FROM unnest($2::bigint[], $3::uuid[], $4::timestamptz[], $5::text[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[]) AS r)sql"};
constexpr pg::Statement kAdvanceLife{"meter_advance_life", R"sql(
  UPDATE worker_lives SET applied_through = $2, covered_until = greatest(covered_until, $3::timestamptz),
         is_ended = is_ended OR $4::boolean WHERE worker_id = $1)sql"};
/// Only now and then: each batch would find next to nothing.
constexpr pg::Statement kForget{"meter_forget", R"sql(
  WITH moved AS (
    UPDATE worker_records_kept SET kept_from = $1::timestamptz WHERE kept_from < $1::timestamptz - interval '1 hour'
    RETURNING kept_from)
  DELETE FROM worker_records r USING moved m WHERE r.finished_at < m.kept_from)sql"};

Status check_record(const WorkerRecord& record, std::size_t index) {
  const auto bad = [index](const char* member, const char* rule) -> std::unexpected<Error> {
    return fail(Code::kInvalidArgument, "bad_record", fmt::format("records[{}].{} {}", index, member, rule),
                fmt::format("records[{}].{}", index, member));
  };
  if (record.finish != "stop" && record.finish != "length" && record.finish != "cancelled" && record.finish != "error") {
    return bad("finish", "must be stop, length, cancelled or error");
  }
  if (record.prompt_tokens < 0) return bad("prompt_tokens", "must not be negative");
  if (record.cached_tokens < 0 || record.cached_tokens > record.prompt_tokens) {
    return bad("cached_tokens", "must lie between 0 and prompt_tokens");
  }
  if (record.completion_tokens < 0) return bad("completion_tokens", "must not be negative");
  if (record.reasoning_tokens < 0 || record.reasoning_tokens > record.completion_tokens) {
    return bad("reasoning_tokens", "must lie between 0 and completion_tokens");
  }
  if (record.drafted_tokens < 0) return bad("drafted_tokens", "must not be negative");
  if (record.accepted_tokens < 0 || record.accepted_tokens > record.drafted_tokens) {
    return bad("accepted_tokens", "must lie between 0 and drafted_tokens");
  }
  if (record.device_us < 0) return bad("device_us", "must not be negative");
  return {};
}

void insert(pqxx::work& tx, const WorkerRecordBatch& batch, std::size_t from) {
  using enum pg::ElementType;
  pg::BinaryArray number(kInt8), request(kUuid), finished(kTimestamptz), finish(kText), prompt(kInt8), cached(kInt8),
      completion(kInt8), reasoning(kInt8), drafted(kInt8), accepted(kInt8), device_us(kInt8);
  for (std::size_t i = from; i < batch.records.size(); ++i) {
    const WorkerRecord& record = batch.records[i];
    number.add(batch.first + static_cast<std::int64_t>(i));
    request.add(record.request);
    finished.add(record.finished);
    finish.add_text(record.finish);
    prompt.add(record.prompt_tokens);
    cached.add(record.cached_tokens);
    completion.add(record.completion_tokens);
    reasoning.add(record.reasoning_tokens);
    drafted.add(record.drafted_tokens);
    accepted.add(record.accepted_tokens);
    device_us.add(record.device_us);
  }
  if (number.size() == 0) return;
  pg::run(tx, kInsertRecords, batch.worker_id, number.param(), request.param(), finished.param(), finish.param(),
          prompt.param(), cached.param(), completion.param(), reasoning.param(), drafted.param(), accepted.param(),
          device_us.param());
}

}  // namespace

Result<std::int64_t> apply_worker_records(pqxx::work& tx, const WorkerRecordBatch& batch, Wall now,
                                          std::chrono::hours keep) {
  if (batch.records.size() > kWorkerRecordsMax) {
    return fail(Code::kInvalidArgument, "bad_record",
                fmt::format("a batch has at most {} records; {} came", kWorkerRecordsMax, batch.records.size()), "records");
  }
  for (std::size_t i = 0; i < batch.records.size(); ++i) TG_TRY(check_record(batch.records[i], i));
  const std::int64_t through = pg::read_int64(pg::run(tx, kLockLife, batch.worker_id, pg::to_sql(now))[0][0]);
  if (batch.first > through + 1) {
    if (batch.records.empty()) return through;
    return fail(Code::kFailedPrecondition, "sequence_gap",
                fmt::format("records of {} are known through {}; the batch begins at {}", batch.worker_id, through, batch.first),
                "first");
  }
  const auto known = static_cast<std::size_t>(through + 1 - batch.first);
  insert(tx, batch, known);
  const std::int64_t last = batch.first + static_cast<std::int64_t>(batch.records.size()) - 1;
  const std::int64_t applied = std::max(through, last);
  // A batch that repeats an old one may not cover what came after it.
  if (last >= through) {
    pg::run(tx, kAdvanceLife, batch.worker_id, applied, pg::to_sql(batch.covered_until),
            std::string(batch.is_ended ? "true" : "false"));
  }
  pg::run(tx, kForget, pg::to_sql(now - keep));
  return applied;
}

}  // namespace tidegate::billing

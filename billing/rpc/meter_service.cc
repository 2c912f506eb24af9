#include "billing/rpc/meter_service.h"

#include <fmt/format.h>

#include "billing/adapters/meter_store.h"

namespace tidegate::billing {

namespace {

/// Longer than any late batch of a gateway, shorter than would cost much.
constexpr std::chrono::hours kKeep{24 * 35};

Result<WorkerRecordBatch> read_records(const v1::WorkerRecordBatch& request) {
  WorkerRecordBatch batch;
  TG_ASSIGN(const Uuid worker, Uuid::parse(request.worker_id()));
  batch.worker_id = worker.to_string();
  if (request.first() == 0 || request.first() > INT64_MAX / 2) {
    return fail(Code::kInvalidArgument, "bad_record", "first must be at least 1", "first");
  }
  batch.first = static_cast<std::int64_t>(request.first());
  batch.covered_until = wall_from_unix_micros(request.covered_until_us());
  batch.is_ended = request.is_ended();
  for (const auto& record : request.records()) {
    auto id = RequestId::from_bytes(record.request_id());
    if (!id) {
      return fail(Code::kInvalidArgument, "bad_record", "request_id must be 16 bytes",
                  fmt::format("records[{}].request_id", batch.records.size()));
    }
    batch.records.push_back({*id, wall_from_unix_micros(record.finished_us()), record.finish(), record.prompt_tokens(),
                             record.cached_tokens(), record.completion_tokens(), record.reasoning_tokens(),
                             record.drafted_tokens(), record.accepted_tokens(), record.device_us()});
  }
  return batch;
}

}  // namespace

grpc::ServerUnaryReactor* MeterService::SubmitRecords(grpc::CallbackServerContext* call,
                                                      const v1::WorkerRecordBatch* request,
                                                      v1::WorkerRecordAck* response) {
  return host_.serve(call, response, [this, request](const rpc::ServerCall& c) { return submit(*request, c.deadline()); });
}

Result<v1::WorkerRecordAck> MeterService::submit(const v1::WorkerRecordBatch& request, Deadline deadline) {
  TG_ASSIGN(const auto batch, read_records(request));
  const Wall now = context_.clock.wall();
  auto job = [&](pqxx::work& tx) { return apply_worker_records(tx, batch, now, kKeep); };
  TG_ASSIGN(const std::int64_t through, context_.pool.run_blocking(deadline, job));
  v1::WorkerRecordAck ack;
  ack.set_applied_through(static_cast<std::uint64_t>(through));
  return ack;
}

}  // namespace tidegate::billing

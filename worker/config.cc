#include "worker/config.h"

#include "base/core/secret_check.h"

namespace tidegate::worker {

ConfigTable config_table(WorkerConfig& config) {
  ConfigTable table("tidegate-worker");
  table.text("engine", config.engine, "cpu = the model of model.dir; sim = made-up words at a set pace, for load tests.");
  table.text("model.dir", config.model_dir, "Hugging Face folder of the weights; for engine cpu.");
  table.text("model", config.model, "Name under which gateways offer it.");
  table.required();
  table.text("variant", config.variant, "Variant of the catalogue, e.g. fp8.");
  table.integer("threads", config.threads, 0, 256, "Compute threads; 0 = all cores.");
  table.integer("sequences_max", config.sequences_max, 1, 4096, "Sequences in a batch.");
  table.integer("step_tokens_max", config.step_tokens_max, 16, 65536,
                "Tokens per engine step; more = faster prompts, longer pauses for running answers.");
  table.integer("kv.mib", config.kv_mib, 1, 1 << 20, "KV cache, MiB at most.");
  table.flag("kv.prefix_cache", config.kv_prefix_cache,
             "Prompts of one tenant that begin alike are computed once, as long as the KV cache has room.");
  table.integer("drafts.batch_max", config.drafts_batch_max, 0, 4096,
                "The model's draft layer guesses tokens while at most so many sequences run; answers stay the same. 0 = never.");
  table.integer("sim.step_ms", config.sim_step_ms, 1, 10'000, "Engine sim: time of one step.");
  table.integer("sim.prefill_tokens_per_s", config.sim_prefill_tokens_per_s, 1, 100'000'000, "Engine sim: prompt speed.");
  table.integer("sim.reasoning_tokens", config.sim_reasoning_tokens, 0, 100'000, "Engine sim: thinking of every answer.");
  table.integer("sim.content_tokens", config.sim_content_tokens, 0, 100'000, "Engine sim: length of every answer.");

  table.text("deployment", config.deployment, "Deployment this is a replica of; empty = started by hand.");
  table.text("replica", config.replica, "The runtime driver's name for this replica.");
  table.text("region", config.region, "Where it runs.");
  table.text("pool", config.pool, "Pool of accelerators it belongs to.");
  table.integer("term", config.term, 0, INT64_MAX, "Scheduler term that started it; older ones are not obeyed.");

  table.text("grpc.listen", config.grpc_listen, "host:port (port 0 = any free one) or unix:/path.");
  table.text("grpc.advertise", config.grpc_advertise, "Address told to gateways; empty = the one bound.");
  table.text("admin.listen", config.admin_listen, "host:port of /metrics, /livez, /readyz.");
  table.text("scheduler.address", config.scheduler_address, "host:port or unix:/path; empty = serve alone.");
  table.text("billing.address", config.billing_address,
             "host:port or unix:/path that is told what every sequence cost; empty = nobody, and bills rest on gateways alone.");
  table.text("meter.dir", config.meter_dir, "Folder of this replica's usage records until billing has them; needed with billing.address.");
  table.secret_file("cluster_token_file", config.cluster_token, "Token that gateways and workers share.");
  table.required();
  add_rpc_tls_rows(table, config.rpc_tls);
  add_log_row(table, config.log_level);

  table.integer("credits.overcommit", config.credits_overcommit, 0, 1024,
                "Sequences granted beyond the batch, so that a freed place is refilled at once.");
  table.integer("outbox.kib_max", config.outbox_kib_max, 16, 1 << 20,
                "Text held for a gateway that does not read; beyond it its sequences are cancelled.");
  table.milliseconds("drain.limit_ms", config.drain_limit, 0, 3'600'000,
                     "How long a drain waits for running sequences before it cancels them.");
  return table;
}

Status check_config(const WorkerConfig& config) {
  if (config.engine != "cpu" && config.engine != "sim") {
    return fail(Code::kInvalidArgument, "bad_config", "engine must be cpu or sim", "engine");
  }
  if (config.engine == "cpu" && config.model_dir.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", "engine cpu needs model.dir", "model.dir");
  }
  if (!config.billing_address.empty() && config.meter_dir.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", "billing.address needs meter.dir", "meter.dir");
  }
  return check_secret("cluster_token_file", config.cluster_token);
}

}  // namespace tidegate::worker

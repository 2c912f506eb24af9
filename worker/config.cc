#include "worker/config.h"

#include "base/core/secret_check.h"

namespace tidegate::worker {

namespace {

constexpr std::size_t kExternalModelBytesMax = 200;

void add_external_rows(ConfigTable& table, WorkerConfig& config) {
  table.text("external.url", config.external_url, "Engine external: its OpenAI API, e.g. http://127.0.0.1:8000/v1. Redirects are not followed.");
  table.text("external.model", config.external_model, "Engine external: its own name for the model.");
  table.choice("external.kind", config.external_kind, {"openai", "vllm", "sglang", "tensorrt", "llamacpp"},
               "Engine external: which server it is, for what it takes beyond OpenAI's API.");
  table.secret_file("external.api_key_file", config.external_api_key, "Engine external: key that is sent to it; empty = none.");
  table.text("external.ca_file", config.external_ca_file, "Engine external: authorities (PEM) for an https url.");
  table.text("external.tokenizer_dir", config.external_tokenizer_dir,
             "Engine external: folder with the model's tokenizer.json, to check its usage; empty = bounds by bytes.");
  table.integer("external.context_max", config.external_context_max, 0, 1 << 24,
                "Engine external: tokens of prompt and answer; 0 = as its list of models says.");
  table.integer("external.bytes_per_token_max", config.external_bytes_per_token_max, 1, 128,
                "Engine external without a tokenizer: a text has at least a token in so many bytes.");
  table.integer("external.tolerance_percent", config.external_tolerance_percent, 0, 100,
                "Engine external: how far its usage may lie outside of our count before the smaller is billed, percent...");
  table.integer("external.tolerance_tokens", config.external_tolerance_tokens, 0, 100'000, "...and tokens beyond that.");
  table.flag("external.continuous_usage", config.external_continuous_usage,
             "Engine external of kind vllm, sglang, tensorrt: ask for usage with every chunk, and bill prompts by it.");
  table.milliseconds("external.connect_ms", config.external_connect, 10, 60'000, "Engine external: connecting at most.");
  table.milliseconds("external.first_byte_ms", config.external_first_byte, 100, 3'600'000,
                     "Engine external: from a request to the first byte of its answer at most.");
  table.milliseconds("external.silence_ms", config.external_silence, 100, 3'600'000,
                     "Engine external: between bytes of an answer at most.");
  table.milliseconds("external.probe_ms", config.external_probe, 10, 60'000,
                     "Engine external: between looks at its health; three failures in a row take the worker out of the routes.");
  table.milliseconds("external.start_limit_ms", config.external_start_limit, 0, 86'400'000,
                     "Engine external: how long a start waits for it to become healthy.");
}

Status check_external(const WorkerConfig& config) {
  if (config.external_url.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", "engine external needs external.url", "external.url");
  }
  if (config.external_model.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", "engine external needs external.model, its own name for the model",
                "external.model");
  }
  if (config.external_model.size() > kExternalModelBytesMax) {
    return fail(Code::kInvalidArgument, "bad_config",
                "external.model is too long: it stands in every receipt; at most " + std::to_string(kExternalModelBytesMax) + " bytes",
                "external.model");
  }
  return {};
}

}  // namespace

ConfigTable config_table(WorkerConfig& config) {
  ConfigTable table("tidegate-worker");
  table.text("engine", config.engine, "cpu = the model of model.dir; sim = made-up words at a set pace, for load tests; external = a server at external.url.");
  table.text("model.dir", config.model_dir, "Hugging Face folder of the weights; for engine cpu.");
  table.text("model", config.model, "Name under which gateways offer it.");
  table.required();
  table.text("variant", config.variant, "Variant of the catalogue, e.g. fp8.");
  table.integer("threads", config.threads, 0, 256, "Compute threads; 0 = all cores.");
  table.choice("arithmetic", config.arithmetic, {"exact", "bf16", "fast"},
               "exact = activations stay float32; bf16 = they are rounded to bf16 for products, for faster prompts on CPUs with AMX or "
               "AVX512_BF16; fast = to int8 for products with Q8_0 weights, on CPUs with AVX512_VNNI.");
  table.choice("kernels", config.kernels,
               {"auto", "scalar", "avx2", "avx512", "avx512-bf16", "amx-bf16", "amx-reference", "vnni-int8", "int8-reference"},
               "auto = the best of the arithmetic on this CPU; a name = those, for tests and comparisons; a start without them fails.");
  table.integer("sequences_max", config.sequences_max, 1, 4096, "Sequences in a batch.");
  table.integer("step_tokens_max", config.step_tokens_max, 16, 65536,
                "Tokens per engine step; more = faster prompts, longer pauses for running answers.");
  table.integer("kv.mib", config.kv_mib, 1, 1 << 20, "KV cache, MiB at most.");
  table.flag("kv.prefix_cache", config.kv_prefix_cache,
             "Prompts of one tenant that begin alike are computed once, as long as the KV cache has room.");
  table.integer("drafts.batch_max", config.drafts_batch_max, 0, 4096,
                "The model's draft layer guesses tokens while at most so many sequences run; answers stay the same. 0 = never.");
  table.text("weights.cache_dir", config.weights_cache_dir,
             "Folder of this user alone in which repacked weights are kept, so that the next start maps them; empty = repack at every start.");
  table.integer("weights.cache_mib", config.weights_cache_mib, 64, 1 << 26,
                "Size of that folder at most, MiB; models used longest ago go first.");
  table.flag("weights.cache_verify", config.weights_cache_verify,
             "Read the weights and the whole packed file, and compare digest and checksums, before they are used.");
  table.integer("sim.step_ms", config.sim_step_ms, 1, 10'000, "Engine sim: time of one step.");
  table.integer("sim.prefill_tokens_per_s", config.sim_prefill_tokens_per_s, 1, 100'000'000, "Engine sim: prompt speed.");
  table.integer("sim.reasoning_tokens", config.sim_reasoning_tokens, 0, 100'000, "Engine sim: thinking of every answer.");
  table.integer("sim.content_tokens", config.sim_content_tokens, 0, 100'000, "Engine sim: length of every answer.");

  add_external_rows(table, config);

  table.text("deployment", config.deployment, "Deployment this is a replica of; empty = started by hand.");
  table.text("replica", config.replica, "The runtime driver's name for this replica.");
  table.text("region", config.region, "Where it runs.");
  table.text("pool", config.pool, "Pool of accelerators it belongs to.");
  table.integer("term", config.term, 0, INT64_MAX, "Scheduler term that started it; older ones are not obeyed.");

  table.text("grpc.listen", config.grpc_listen, "host:port (port 0 = any free one) or unix:/path.");
  table.text("grpc.advertise", config.grpc_advertise, "Address told to gateways; empty = the one bound.");
  table.text("admin.listen", config.admin_listen, "host:port of /metrics, /livez, /readyz.");
  table.text("scheduler.address", config.scheduler_address, "host:port or unix:/path, up to 8 of them with commas between: a link is kept to each, and whoever leads is obeyed. "
             "Empty = serve alone.");
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
  table.integer("counts.max", config.counts_max, 1, 100'000,
                "Prompts of count_tokens that wait here at once, of all gateways; more are refused with 503 and "
                "Retry-After.");
  table.integer("counts.mib_max", config.counts_mib_max, 1, 65'536,
                "And MiB of them; a prompt that is larger by itself is counted when no other waits.");
  table.milliseconds("drain.limit_ms", config.drain_limit, 0, 3'600'000,
                     "How long a drain waits for running sequences before it cancels them.");
  return table;
}

Status check_config(const WorkerConfig& config) {
  if (config.engine != "cpu" && config.engine != "sim" && config.engine != "external") {
    return fail(Code::kInvalidArgument, "bad_config", "engine must be cpu, sim or external", "engine");
  }
  if (config.engine == "external") TG_TRY(check_external(config));
  if (config.engine == "cpu" && config.model_dir.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", "engine cpu needs model.dir", "model.dir");
  }
  if (!config.billing_address.empty() && config.meter_dir.empty()) {
    return fail(Code::kInvalidArgument, "bad_config", "billing.address needs meter.dir", "meter.dir");
  }
  return check_secret("cluster_token_file", config.cluster_token);
}

}  // namespace tidegate::worker

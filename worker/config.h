#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/core/config.h"
#include "base/core/rpc_tls_options.h"

namespace tidegate::worker {

struct WorkerConfig {
  // What it runs.
  std::string engine = "cpu";
  std::string model_dir;
  std::string model;
  std::string variant;
  std::int64_t threads = 0;
  std::string arithmetic = "exact";
  std::string kernels = "auto";
  std::int64_t sequences_max = 16;
  std::int64_t step_tokens_max = 256;
  std::int64_t kv_mib = 1024;
  bool kv_prefix_cache = true;
  std::int64_t drafts_batch_max = 0;
  std::string weights_cache_dir;
  std::int64_t weights_cache_mib = 65'536;
  bool weights_cache_verify = false;
  std::int64_t sim_step_ms = 20;
  std::int64_t sim_prefill_tokens_per_s = 20000;
  std::int64_t sim_reasoning_tokens = 16;
  std::int64_t sim_content_tokens = 112;
  std::string external_url;
  std::string external_model;
  std::string external_kind = "openai";
  std::string external_api_key;
  std::string external_ca_file;
  std::string external_tokenizer_dir;
  std::int64_t external_context_max = 0;
  std::int64_t external_bytes_per_token_max = 8;
  std::int64_t external_tolerance_percent = 5;
  std::int64_t external_tolerance_tokens = 32;
  bool external_continuous_usage = true;
  std::chrono::milliseconds external_connect{5'000};
  std::chrono::milliseconds external_first_byte{120'000};
  std::chrono::milliseconds external_silence{30'000};
  std::chrono::milliseconds external_probe{2'000};
  std::chrono::milliseconds external_start_limit{600'000};

  // Who it is.
  std::string deployment;
  std::string replica;
  std::string region = "local";
  std::string pool = "cpu";
  std::int64_t term = 0;

  // Where it is reached, and whom it reaches.
  std::string grpc_listen = "127.0.0.1:0";
  std::string grpc_advertise;
  std::string admin_listen = "127.0.0.1:0";
  std::string scheduler_address;
  std::string billing_address;
  std::string meter_dir;
  std::string cluster_token;
  RpcTlsOptions rpc_tls;
  std::string log_level = "info";

  std::int64_t credits_overcommit = 2;
  std::int64_t outbox_kib_max = 1024;
  std::int64_t counts_max = 64;
  std::int64_t counts_mib_max = 32;
  std::chrono::milliseconds drain_limit{60'000};
};

/// Every option of tidegate-worker. The targets live in `config`.
ConfigTable config_table(WorkerConfig& config);

/// What the table cannot say: values that depend on each other. Fails: invalid_argument/bad_config.
Status check_config(const WorkerConfig& config);

}  // namespace tidegate::worker

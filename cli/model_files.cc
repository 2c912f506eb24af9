// `tidegate model convert` and `tidegate model inspect`: need no installation, only the model's files.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json/json.h"
#include "base/json/json_dump.h"
#include "cli/commands.h"
#include "cli/text_table.h"
#include "worker/convert/convert.h"
#include "worker/inspect/inspect.h"

namespace tidegate::cli {

namespace {

std::unexpected<Error> bad_usage(std::string message, std::string field) {
  return fail(Code::kInvalidArgument, "bad_usage", std::move(message), std::move(field));
}

Result<worker::ConvertOptions> read_conversion(const Arguments& arguments) {
  worker::ConvertOptions options;
  TG_ASSIGN(const std::string to, arguments.required_option("to"));
  const auto precision = worker::parse_precision(to);
  if (!precision) return bad_usage(fmt::format("--to is '{}'; bf16, f32, fp8, q8_0 and q4_0 are known", to), "to");
  options.precision = *precision;
  const bool is_block = to.starts_with("q");
  const std::string wanted = arguments.option("format", is_block ? "gguf" : "safetensors");
  const auto format = worker::parse_format(wanted);
  if (!format) return bad_usage(fmt::format("--format is '{}'; safetensors and gguf are known", wanted), "format");
  options.format = *format;
  TG_ASSIGN(const std::int64_t shard_mib, arguments.integer_within("shard-mib", options.shard_bytes_max >> 20, 1, 1 << 26));
  options.shard_bytes_max = shard_mib << 20;
  return options;
}

Status model_convert(const Arguments& arguments) {
  TG_ASSIGN(const std::string source, arguments.word(0, "SOURCE, a model folder or .gguf file"));
  TG_ASSIGN(const std::string target, arguments.word(1, "TARGET, a folder that does not exist yet"));
  TG_ASSIGN(const worker::ConvertOptions options, read_conversion(arguments));
  TG_ASSIGN(const worker::ConvertReport report, worker::convert_model(source, target, options));
  if (arguments.wants_json()) {
    fmt::print("{}\n", json::dump(json::value(worker::manifest_of(report, options))));
    return {};
  }
  TextTable table({"WHAT", "VALUE"});
  table.add({"model", fmt::format("{}, {} in {}", report.architecture, worker::precision_name(options.precision),
                                  worker::format_name(options.format))});
  table.add({"parameters", fmt::format("{}", report.parameters)});
  table.add({"weights", gib_text(report.weight_bytes)});
  for (const auto& [type, elements] : report.elements) table.add({type, fmt::format("{} values", elements)});
  table.add({"error of what was encoded", fmt::format("{:.3g} of the root mean square, {:.3g} at most", report.relative_error,
                                                      report.largest_error)});
  table.add({"made from", report.source_digest});
  table.add({"weights digest", report.weights_digest});
  for (const worker::WrittenFile& file : report.files) table.add({file.name, fmt::format("{} bytes", file.bytes)});
  for (const std::string& note : report.notes) table.add({"note", note});
  fmt::print("{}", table.render());
  return {};
}

std::string described(const worker::Described& part) {
  if (part.problem.empty()) return part.what;
  return part.what.empty() ? "none: " + part.problem : part.what + "; " + part.problem;
}

void print_inspection(const worker::Inspection& model) {
  TextTable table({"WHAT", "VALUE"});
  table.add({"model", fmt::format("{} in {}, {} layers", model.architecture, model.format, model.layers)});
  table.add({"parameters", fmt::format("{}, {} of them active", model.parameters, model.active_parameters)});
  if (model.experts > 0) table.add({"experts", fmt::format("{} of {} for each token", model.experts_per_token, model.experts)});
  if (model.draft_layers > 0) {
    table.add({"draft layers", fmt::format("{}, {} parameters", model.draft_layers, model.draft_parameters)});
  }
  table.add({"weights", gib_text(model.weight_bytes)});
  for (const worker::TypeShare& share : model.types) {
    table.add({share.dtype, fmt::format("{} tensors, {} values, {}", share.tensors, share.elements, gib_text(share.bytes))});
  }
  const worker::MemoryNeed& memory = model.memory;
  table.add({"KV", fmt::format("{} B a token", memory.kv_bytes_per_token)});
  table.add({"context", fmt::format("{} tokens", model.context_max)});
  table.add({"memory here",
             fmt::format("{} packed weights + {} that attention works in + {} for {} x {} tokens = {}", gib_text(memory.weight_bytes),
                         gib_text(memory.attention_bytes), gib_text(memory.kv_bytes), memory.sequences, memory.context,
                         gib_text(memory.total_bytes()))});
  table.add({"fits", fmt::format("{} into {}; {} sequences of {} tokens would", memory.fits() ? "yes," : "no, not",
                                 gib_text(memory.available_bytes), memory.sequences_max(), memory.context)});
  table.add({"tokenizer", described(model.tokenizer)});
  table.add({"chat template", described(model.chat)});
  if (!model.weights_digest.empty()) table.add({"weights digest", model.weights_digest});
  if (!model.manifest_digest.empty()) {
    const bool is_other = !model.weights_digest.empty() && model.manifest_digest != model.weights_digest;
    table.add({"manifest", (is_other ? "names OTHER weights: " : "names ") + model.manifest_digest});
  }
  table.add({"can", model.can.empty() ? "engine verify" : fmt::format("{}", fmt::join(model.can, ", "))});
  for (const std::string& reason : model.cannot) table.add({"cannot", reason});
  fmt::print("{}", table.render());
}

Status model_inspect(const Arguments& arguments) {
  TG_ASSIGN(const std::string path, arguments.word(0, "PATH, a model folder or .gguf file"));
  worker::InspectOptions options;
  TG_ASSIGN(options.context, arguments.integer_within("context", 0, 0, 1 << 24));
  TG_ASSIGN(options.sequences, arguments.integer_within("sequences", 1, 1, 4096));
  TG_ASSIGN(const std::int64_t memory_mib, arguments.integer_within("memory-mib", 0, 0, 1 << 26));
  options.memory_bytes = memory_mib << 20;
  options.digest = !arguments.has("no-digest");
  TG_ASSIGN(const worker::Inspection model, worker::inspect_model(path, options));
  if (arguments.wants_json()) {
    fmt::print("{}\n", json::dump(json::value(worker::to_json(model))));
  } else {
    print_inspection(model);
  }
  return {};
}

}  // namespace

std::vector<Command> model_file_commands() {
  return {{"model convert", "Write a model in another precision or format, with a manifest. Needs no installation.",
           "SOURCE TARGET --to bf16|f32|fp8|q8_0|q4_0 [--format safetensors|gguf] [--shard-mib N]",
           "  tidegate model convert models/tang-moe /models/tang-moe-bf16 --to bf16\n"
           "  tidegate model convert models/tang-moe /models/tang-moe-q8 --to q8_0      # GGUF, which llama.cpp loads too\n"
           "  tidegate model convert /models/tang-moe-q8 /models/tang-moe-fp8 --to fp8\n",
           {"to", "format", "shard-mib"}, {}, model_convert},
          {"model inspect", "Say what a model on the disk is: parameters, types, memory, context, digest. Needs no installation.",
           "PATH [--context N] [--sequences N] [--memory-mib N] [--no-digest]",
           "  tidegate model inspect models/tang-moe\n"
           "  tidegate model inspect /models/v2-lite.gguf --context 32768 --sequences 8 --json\n",
           {"context", "sequences", "memory-mib"}, {"no-digest"}, model_inspect}};
}

}  // namespace tidegate::cli

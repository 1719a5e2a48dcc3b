# Every habit of this project has its name here. 'make' alone lists them.
SHELL := /bin/bash
CONFIGURATION ?= Release
RUNTIME ?= linux-x64
GATEWAY := artifacts/publish/Gateway/release_$(RUNTIME)/tcmu-gateway
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
export DOTNET_NOLOGO = 1

.DEFAULT_GOAL := help
SIMULATION := tests/simulation/Gateway.Simulation.Tests.csproj
.PHONY: help build publish demo test test-fast chaos fence import-proof soak bench microbench format lint packages-build packages-lab packages-ceph packages-bench packages-page packages-pictures screenshots clean

help: ## Lists the targets.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: packages-build packages-lab $(if $(filter s3,$(STORE)),packages-ceph) publish ## Shows the main job on a real kernel. STORE=s3: on a real Ceph RGW; DEMO_HOST=1: on this host's kernel.
	@STORE=$(STORE) scripts/demo.sh

test: packages-build packages-lab packages-ceph packages-page build publish ## Runs every test: units, stores, and the gateway on a real kernel. At most 25 minutes on 2 cores.
	@scripts/test.sh

test-fast: build ## Runs what needs no kernel and no server.
	@scripts/test.sh fast

chaos: packages-build packages-lab packages-ceph build publish ## Has a real store fail in every way under fio on a real kernel: table, and artifacts/chaos.json. ROWS='flaky kills': only these; CHAOS_SHORT=1: short outages.
	@CHAOS_SHORT=$(CHAOS_SHORT) tests/lab/chaos $(ROWS)
	@$(if $(ROWS),,tests/lab/fence)

fence: packages-build packages-lab packages-ceph build publish ## Two gateways on two machines (guests) fight for one volume in a real store; adds its row to artifacts/chaos.json.
	@tests/lab/fence

bench: packages-build packages-bench packages-ceph publish ## Measures the gateway against its targets: table, and artifacts/bench.json. BENCH=ring_null,read_warm: only these.
	@scripts/bench.sh

microbench: ## Measures single parts in a loop (BenchmarkDotNet). FILTER='*Crc*': only these.
	@dotnet run --project bench/Micro -c Release -v quiet -- --filter '$(or $(FILTER),*)' --artifacts artifacts/microbench

import-proof: packages-build packages-lab publish ## Imports a qcow2 image of 4 GiB, killed once and interrupted once, and compares.
	@tests/import/interrupted

soak: ## Simulates the volume engine for SECONDS=60, from seed FIRST on, or replays SEED=n with its trace.
	@dotnet build $(SIMULATION) -c Release -v quiet -nologo -clp:NoSummary
	@dotnet artifacts/bin/Gateway.Simulation.Tests/release/Gateway.Simulation.Tests.dll $(if $(SEED),replay $(SEED) $(MUTATION),soak $(or $(SECONDS),60) $(or $(FIRST),1))

build: ## Builds everything.
	@dotnet build Gateway.sln -c $(CONFIGURATION) -v quiet -nologo -clp:NoSummary

publish: packages-build ## Makes the native executable, artifacts/publish/Gateway/*/tcmu-gateway.
	@dotnet publish src/Gateway -c Release -r $(RUNTIME) -v quiet -nologo -clp:NoSummary
	@ls -l $(GATEWAY) | awk '{ printf "%s: %.1f MB\n", $$NF, $$5 / 1e6 }'

screenshots: packages-ceph packages-page packages-pictures ## Takes the pictures of the page in docs/images, in 8 minutes: under load, and while its store is away.
	@dotnet build tests/page -c Release -v quiet -nologo -clp:NoSummary
	@PAGE_LOAD_SECONDS=300 REQUIRE_RGW=1 REQUIRE_CHROMIUM=1 dotnet test artifacts/bin/Gateway.Page.Tests/release/Gateway.Page.Tests.dll --filter FullyQualifiedName~OutageTests --logger "console;verbosity=minimal"
	@mkdir -p docs/images && for picture in artifacts/screenshots/*.png; do pngquant --force --strip --speed 1 --output docs/images/$${picture##*/} 128 $$picture; done; ls -l docs/images

format: ## Formats the source.
	@dotnet format Gateway.sln

lint: packages-build ## Checks the format of the source and the shell scripts.
	@dotnet format Gateway.sln --verify-no-changes
	@if command -v shellcheck > /dev/null; then shellcheck -x scripts/*.sh tests/lab/lab tests/lab/powercut tests/lab/chaos tests/lab/fence tests/lab/operate tests/lab/first-hour tests/import/interrupted tests/lab/ceph-mini tests/lab/*.sh tests/lab/scenarios/*.sh .ci/run; else echo "shellcheck is not installed: scripts were not checked"; fi

packages-build packages-lab packages-ceph packages-bench packages-page packages-pictures:
	@scripts/packages.sh $(@:packages-%=%)

clean: ## Removes everything that was built.
	@rm -rf artifacts

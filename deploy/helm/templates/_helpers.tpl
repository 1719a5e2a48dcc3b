{{/* Name of all that belongs to the release, cut to what a label may hold. */}}
{{- define "gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "gateway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tcmu-gateway
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The image, by a tag or digest of its own or else the values': (list . TAG DIGEST). */}}
{{- define "gateway.imageOf" -}}
{{- $root := index . 0 -}}
{{- $tag := index . 1 -}}
{{- $digest := index . 2 -}}
{{- if $digest -}}
{{- printf "%s@%s" $root.Values.image.repository $digest -}}
{{- else -}}
{{- printf "%s:%s" $root.Values.image.repository (default $root.Chart.AppVersion $tag) -}}
{{- end -}}
{{- end -}}

{{- define "gateway.image" -}}
{{- include "gateway.imageOf" (list . .Values.image.tag .Values.image.digest) -}}
{{- end -}}

{{/* The files of the ConfigMap: gateway.json, or one for each of the nodes. JSON, so that templates of the environment stay as they are. */}}
{{- define "gateway.configFiles" -}}
{{- if .Values.nodes -}}
{{- $config := .Values.config -}}
{{- range $node, $own := .Values.nodes }}
{{ $node }}.json: |
  {{- mustMergeOverwrite (deepCopy $config) (deepCopy (default dict $own.config)) | mustToPrettyJson | nindent 2 }}
{{- end }}
{{- else -}}
gateway.json: |
  {{- mustToPrettyJson .Values.config | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The file that a pod reads. */}}
{{- define "gateway.configPath" -}}
{{- if .Values.nodes -}}/etc/tcmu-gateway/$(NODE_NAME).json{{- else -}}/etc/tcmu-gateway/gateway.json{{- end -}}
{{- end -}}

{{/* Name of the Secret behind an entry of .Values.secrets: (list . NAME ENTRY). */}}
{{- define "gateway.secretName" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $entry := index . 2 -}}
{{- default (printf "%s-%s" (include "gateway.fullname" $root) $name) $entry.existingSecret -}}
{{- end -}}

{{/* Volumes and mounts of what the gateway and the tests read: secrets, the token of the web identity. */}}
{{- define "gateway.secretVolumes" -}}
{{- range $name, $entry := .Values.secrets }}
- name: secret-{{ $name }}
  secret:
    secretName: {{ include "gateway.secretName" (list $ $name $entry) }}
    defaultMode: 0400
{{- end }}
{{- if .Values.webIdentity.roleArn }}
- name: web-identity
  projected:
    defaultMode: 0400
    sources:
      - serviceAccountToken:
          audience: {{ .Values.webIdentity.audience }}
          expirationSeconds: {{ int64 .Values.webIdentity.expirationSeconds }}
          path: token
{{- end }}
{{- end -}}

{{- define "gateway.secretMounts" -}}
{{- range $name, $entry := .Values.secrets }}
- name: secret-{{ $name }}
  mountPath: /secrets/{{ $name }}
  readOnly: true
{{- end }}
{{- if .Values.webIdentity.roleArn }}
- name: web-identity
  mountPath: /web-identity
  readOnly: true
{{- end }}
{{- end -}}

{{/* Environment of all that talks to stores. */}}
{{- define "gateway.storeEnv" -}}
{{- with .Values.webIdentity }}
{{- if .roleArn }}
- name: AWS_ROLE_ARN
  value: {{ .roleArn | quote }}
- name: AWS_WEB_IDENTITY_TOKEN_FILE
  value: /web-identity/token
{{- with .region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .stsEndpoint }}
- name: AWS_ENDPOINT_URL_STS
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of a pod that needs nothing of the node. */}}
{{- define "gateway.plainSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Peers of a NetworkPolicy's rule; without any, those of the namespace. */}}
{{- define "gateway.peers" -}}
{{- if . -}}{{ toYaml . }}{{- else -}}- podSelector: {}{{- end -}}
{{- end -}}
